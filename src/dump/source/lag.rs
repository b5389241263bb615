//! A secondary that lags behind: a dump begins when the member has everything that was there when it was asked for.

use std::sync::Arc;
use std::time::Duration;

use bson::{Bson, Document, Timestamp, doc};
use mongodb::action::RunCommand;
use tokio::time::{Instant, sleep, timeout};

use super::{Source, member};
use crate::progress::Monitor;
use crate::server_error::driver_error;
use crate::{Error, ErrorKind, FIRST_ANSWER_TIMEOUT, Result};

/// How long a dump waits for its member to catch up: far more than replication takes, far less than the delay of a member
/// that is meant to lag.
const CATCH_UP_PATIENCE: Duration = Duration::from_mins(1);

/// Between two looks at the member.
const PAUSE: Duration = Duration::from_millis(100);

impl Source {
    /// Waits until the member, which said `hello`, has applied the newest write that is known in the set: the primary's
    /// last, or without a primary the newest that any member has. That write's time, where one is known.
    pub(super) async fn wait_for_newest(
        &self,
        hello: &Document,
        name: &str,
        monitor: &Arc<dyn Monitor>,
    ) -> Result<Option<Timestamp>> {
        let Some(mut reached) = last_write(hello) else { return Ok(None) };
        if hello.get_bool("isWritablePrimary").unwrap_or(false) {
            return Ok(Some(reached));
        }
        let newest = self.newest_in_set(hello).await.unwrap_or(reached);
        let began = Instant::now();
        let mut is_told = false;
        while reached < newest {
            if began.elapsed() > CATCH_UP_PATIENCE {
                let behind = newest.time.saturating_sub(reached.time);
                return Err(Error::new(
                    ErrorKind::Server,
                    format!(
                        "{name} is {behind} s behind the newest write of its set and does not catch up: what it has is not \
                         what there is; dump from another member (readPreference, tags, maxStalenessSeconds)"
                    ),
                ));
            }
            if !std::mem::replace(&mut is_told, true) {
                monitor.note(&format!("waiting for {name} to catch up with its replica set"));
            }
            sleep(PAUSE).await;
            let hello = self
                .hello()
                .await
                .map_err(|error| driver_error("the member to dump from no longer answers", &error))?;
            reached = last_write(&hello).unwrap_or(reached);
        }
        Ok(Some(newest))
    }

    /// The newest write that a secondary has applied; `None` of other members.
    pub(in crate::dump) async fn applied(&self) -> Result<Option<Timestamp>> {
        let hello = self.hello().await;
        let hello =
            hello.map_err(|error| driver_error("the member to dump from no longer answers", &error))?;
        let is_secondary = hello.get_bool("secondary").unwrap_or(false);
        Ok(if is_secondary { last_write(&hello) } else { None })
    }

    async fn newest_in_set(&self, hello: &Document) -> Option<Timestamp> {
        if let Ok(primary) = hello.get_str("primary")
            && let Some(newest) = self.last_write_of(primary).await
        {
            return Some(newest);
        }
        let names = ["hosts", "passives"].into_iter().filter_map(|kind| hello.get_array(kind).ok()).flatten();
        let asked = names.filter_map(Bson::as_str).map(|name| self.last_write_of(name));
        futures::future::join_all(asked).await.into_iter().flatten().max()
    }

    /// `None` when the member does not answer in time.
    async fn last_write_of(&self, name: &str) -> Option<Timestamp> {
        let admin = self.deployment.client().database("admin");
        let ask: RunCommand<'_> = admin.run_command(doc! { "hello": 1 }).selection_criteria(member(name)?);
        let hello = timeout(FIRST_ANSWER_TIMEOUT, ask).await.ok()?.ok()?;
        last_write(&hello)
    }
}

fn last_write(hello: &Document) -> Option<Timestamp> {
    hello.get_document("lastWrite").ok()?.get_document("opTime").ok()?.get_timestamp("ts").ok()
}
