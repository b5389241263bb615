//! How long a store may be away in the middle of a transfer.
//!
//! Every request has the client's own attempts, which end within half a minute: enough to tell a dead endpoint before
//! any work is done. Once something is at stake the request is repeated for longer, with pauses that double. Time is
//! counted in the client's first pause (one second), of which a client with shorter pauses has shorter patience.

use super::failure::{self, Answer, SdkError};
use aws_sdk_s3::Client;
use std::time::Duration;

/// First pauses of the client that make the patience with a store that is away: three minutes, besides what the attempts
/// themselves take. A node that is replaced or a network that is set up again takes less.
const OUTAGE_PAUSES: u32 = 180;

/// First pauses that make the patience at the end of what has failed: a minute. Somebody is waiting to hear of it, and what is
/// left then goes with the next archive or the lifecycle rule.
const END_PAUSES: u32 = 60;

/// First pauses that make the patience with another writer of the same object: a minute. A completion may take S3
/// minutes, but is decided for everybody else at its beginning.
const CONFLICT_PAUSES: u32 = 60;

/// Longest pause in first pauses: a store that is back is noticed within 16 seconds.
const LONGEST_PAUSE: u32 = 16;

/// The client's first pause where its configuration does not tell: the SDK's default.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// What is left of the pauses that something may take.
#[derive(Debug)]
pub(super) struct Patience {
    first: Duration,
    next: u32,
    left: u32,
}

impl Patience {
    /// With a store that is away.
    pub(super) fn with_outage(client: &Client) -> Self {
        Self { first: first_pause(client), next: 1, left: OUTAGE_PAUSES }
    }

    /// With another writer that is completing the same object.
    pub(super) fn with_conflict(client: &Client) -> Self {
        Self { first: first_pause(client), next: 1, left: CONFLICT_PAUSES }
    }

    /// Waits before the next attempt; `false` where there must be none.
    pub(super) async fn lasts(&mut self) -> bool {
        let pause = self.next.min(self.left);
        tokio::time::sleep(self.first * pause).await;
        self.left -= pause;
        self.next = (self.next * 2).min(LONGEST_PAUSE);
        pause > 0
    }
}

/// The client's pause before its second attempt, at most.
pub(super) fn first_pause(client: &Client) -> Duration {
    client
        .config()
        .retry_config()
        .map_or(FIRST_PAUSE, aws_sdk_s3::config::retry::RetryConfig::initial_backoff)
}

/// Repeats a request while the store is away. A dropped future ends it at once.
pub(super) async fn outlast<T, E: Answer, F: Future<Output = Result<T, SdkError<E>>>>(
    client: &Client,
    mut request: impl FnMut() -> F,
) -> Result<T, SdkError<E>> {
    repeat(Patience::with_outage(client), &mut request).await
}

/// The same for what removes the rest of a transfer that has failed.
pub(super) async fn outlast_briefly<T, E: Answer, F: Future<Output = Result<T, SdkError<E>>>>(
    client: &Client,
    mut request: impl FnMut() -> F,
) -> Result<T, SdkError<E>> {
    let patience = Patience { first: first_pause(client), next: 1, left: END_PAUSES };
    repeat(patience, &mut request).await
}

async fn repeat<T, E: Answer, F: Future<Output = Result<T, SdkError<E>>>>(
    mut patience: Patience,
    request: &mut impl FnMut() -> F,
) -> Result<T, SdkError<E>> {
    loop {
        match Box::pin(request()).await {
            Err(error) if failure::is_away(&error) && patience.lasts().await => {}
            answer => return answer,
        }
    }
}
