//! A replica set of three real servers, which elects, lags and dies when a test says so.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use mongodb::bson::{Document, Timestamp, doc};
use mongodb::{Client, Database};
use tokio::time::{Instant, sleep};

use super::mongod::{LISTENS, Options, ROOT, ROOT_PASSWORD, Version, client, percent_encoded, spawn};
use super::process::{Process, lasting_port};

/// A majority remains when one is gone.
pub const MEMBERS: usize = 3;

/// Longer than any election or any start takes on a loaded machine; only a broken set gets there.
const PATIENCE: Duration = Duration::from_mins(2);

/// Between two looks at the set.
const PAUSE: Duration = Duration::from_millis(50);

/// How long a member that gave its office up may not have it again, and one that is held back from it.
const FOR_EVER: i32 = 86_400;

/// A running set; its servers are killed, and their data removed, when it is dropped.
#[derive(Debug)]
pub struct ReplicaSet {
    members: Vec<Member>,
    version: Version,
    options: Options,
}

#[derive(Debug)]
struct Member {
    process: Arc<Process>,
    port: u16,
}

impl ReplicaSet {
    /// Starts a set without access control. Members are known by their numbers, from 0 to 2.
    pub async fn start(version: Version) -> Self {
        Self::start_with(version, Options::default()).await
    }

    /// Starts a set in a way of its own; with `auth` its members share a key file.
    pub async fn start_with(version: Version, options: Options) -> Self {
        assert!(options.replica_set, "a set");
        let starting = (0..MEMBERS).map(|_| Member::start(version, options));
        let set = Self { members: join_all(starting).await, version, options };
        set.initiate().await;
        set.settled().await;
        if options.auth {
            let user = doc! { "createUser": ROOT, "pwd": ROOT_PASSWORD, "roles": ["root"], "writeConcern": { "w": 3 } };
            // The first user may be made without logging in, by whoever connects to the primary itself.
            let first = format!("mongodb://{}/?directConnection=true", set.address(0));
            client(&first).await.database("admin").run_command(user).await.expect("the first user");
        }
        set
    }

    async fn initiate(&self) {
        let members = self.members.iter().enumerate().map(|(number, member)| {
            // The first becomes primary, and afterwards nobody is preferred.
            doc! { "_id": i32::try_from(number).unwrap(), "host": member.address() }
        });
        let settings = doc! {
            "electionTimeoutMillis": 2000,
            "heartbeatIntervalMillis": 500,
            "heartbeatTimeoutSecs": 2,
            "catchUpTimeoutMillis": 2000,
        };
        let configuration =
            doc! { "_id": "rs0", "members": members.collect::<Vec<_>>(), "settings": settings };
        let direct = client(&format!("mongodb://{}/?directConnection=true", self.members[0].address())).await;
        let initiate = doc! { "replSetInitiate": configuration };
        direct.database("admin").run_command(initiate).await.expect("a set of three");
    }

    pub fn version(&self) -> Version {
        self.version
    }

    /// The connection string that names all members, for a client that may do everything.
    pub fn uri(&self) -> String {
        self.uri_with("")
    }

    /// The same with more options, such as `readPreference=secondary`.
    pub fn uri_with(&self, options: &str) -> String {
        let addresses: Vec<_> = self.members.iter().map(Member::address).collect();
        self.uri_to(&addresses.join(","), &["replicaSet=rs0", options])
    }

    /// The connection string of one member alone, whatever its state.
    pub fn direct_uri(&self, member: usize) -> String {
        self.uri_to(&self.address(member), &["directConnection=true"])
    }

    /// `HOST:PORT` of a member.
    pub fn address(&self, member: usize) -> String {
        self.members[member].address()
    }

    fn uri_to(&self, address: &str, options: &[&str]) -> String {
        let login = if self.options.auth {
            format!("{ROOT}:{}@", percent_encoded(ROOT_PASSWORD))
        } else {
            String::new()
        };
        let source = if self.options.auth { "authSource=admin" } else { "" };
        let options: Vec<_> =
            options.iter().chain([&source]).filter(|option| !option.is_empty()).copied().collect();
        format!("mongodb://{login}{address}/?{}", options.join("&"))
    }

    /// A new client of the set, which belongs to the runtime of the test that asks.
    pub async fn client(&self) -> Client {
        client(&self.uri()).await
    }

    /// A new client of one member, whatever its state.
    pub async fn direct(&self, member: usize) -> Client {
        client(&self.direct_uri(member)).await
    }

    async fn admin(&self, member: usize) -> Database {
        self.direct(member).await.database("admin")
    }

    /// The number of the member that takes writes, waited for.
    pub async fn primary(&self) -> usize {
        self.waited("a primary", async |set| {
            join_all((0..MEMBERS).map(|member| set.state(member)))
                .await
                .iter()
                .position(|state| *state == Some(State::Primary))
        })
        .await
    }

    /// The numbers of the members that follow, at this moment.
    pub async fn secondaries(&self) -> Vec<usize> {
        let states = join_all((0..MEMBERS).map(|member| self.state(member))).await;
        (0..MEMBERS).filter(|member| states[*member] == Some(State::Secondary)).collect()
    }

    /// Waits until one member is primary and all others that run follow it.
    pub async fn settled(&self) {
        self.waited("a primary and two that follow", async |set| {
            let states = join_all((0..MEMBERS).map(|member| set.state(member))).await;
            let primaries = states.iter().filter(|state| **state == Some(State::Primary)).count();
            (primaries == 1 && states.iter().all(Option::is_some)).then_some(())
        })
        .await;
    }

    /// The primary gives its office up and does not want it again for `seconds`; returns its number. The others elect
    /// one of them meanwhile: [`Self::primary`] waits for it.
    pub async fn step_down(&self, seconds: i32) -> usize {
        let primary = self.primary().await;
        let command = doc! { "replSetStepDown": seconds, "secondaryCatchUpPeriodSecs": 1, "force": true };
        // Another election may have been faster.
        self.admin(primary).await.run_command(command).await.ok();
        primary
    }

    /// No member is primary, and none becomes it, before [`Self::elect`]; all can be read.
    pub async fn without_primary(&self) {
        for member in self.secondaries().await {
            self.freeze(member, FOR_EVER).await;
        }
        let primary = self.step_down(FOR_EVER).await;
        self.waited("three that follow nobody", async |set| {
            (set.state(primary).await == Some(State::Secondary) && set.secondaries().await.len() == MEMBERS)
                .then_some(())
        })
        .await;
    }

    /// Ends [`Self::without_primary`].
    pub async fn elect(&self) {
        for member in 0..MEMBERS {
            self.freeze(member, 0).await;
        }
        self.primary().await;
    }

    async fn freeze(&self, member: usize, seconds: i32) {
        let freeze = doc! { "replSetFreeze": seconds };
        self.admin(member).await.run_command(freeze).await.expect("only a primary refuses");
    }

    /// From now on, or no longer, the member takes nothing from the others; what it has can be read.
    pub async fn lag(&self, member: usize, lags: bool) {
        let admin = self.admin(member).await;
        let mode = if lags { "alwaysOn" } else { "off" };
        let set = doc! { "configureFailPoint": "stopReplProducer", "mode": mode };
        let before = admin.run_command(set).await.expect("test commands are enabled");
        if lags {
            let entered = before.get_i32("count").map(i64::from).or_else(|_| before.get_i64("count"));
            let wait = doc! {
                "waitForFailPoint": "stopReplProducer",
                "timesEntered": entered.expect("a count") + 1,
                "maxTimeMS": 60_000,
            };
            admin.run_command(wait).await.expect("the member comes to the fail point");
        }
    }

    /// Waits until every member that runs has all that the primary has at this moment.
    pub async fn caught_up(&self) {
        let target = self.applied(self.primary().await).await;
        self.waited("members that have caught up", async |set| {
            for member in 0..MEMBERS {
                if set.applied(member).await < target {
                    return None;
                }
            }
            Some(())
        })
        .await;
    }

    /// Every member that runs takes so much longer for each of these commands of a client, until it is started again.
    pub async fn slow(&self, commands: &[&str], time: Duration) {
        let time = i32::try_from(time.as_millis()).expect("short");
        let data = doc! { "failCommands": commands, "blockConnection": true, "blockTimeMS": time };
        let set = doc! { "configureFailPoint": "failCommand", "mode": "alwaysOn", "data": data };
        for member in 0..MEMBERS {
            self.admin(member).await.run_command(set.clone()).await.expect("test commands are enabled");
        }
    }

    async fn applied(&self, member: usize) -> Option<Timestamp> {
        let status = self.status(member).await?;
        status.get_document("optimes").ok()?.get_document("appliedOpTime").ok()?.get_timestamp("ts").ok()
    }

    /// Stops the member in an orderly way and waits until it has ended.
    pub fn stop(&self, member: usize) {
        self.members[member].process.signal("TERM");
    }

    /// Kills the member and waits until it has ended.
    pub fn kill(&self, member: usize) {
        self.members[member].process.signal("KILL");
    }

    /// Makes the member hang: connections stay open, nothing is answered.
    pub fn pause(&self, member: usize) {
        self.members[member].process.signal("STOP");
    }

    /// Ends [`Self::pause`].
    pub fn resume(&self, member: usize) {
        self.members[member].process.signal("CONT");
    }

    /// Starts the member again, with its data, and waits until it listens; [`Self::settled`] waits for more.
    pub async fn restart(&self, member: usize) {
        let process = Arc::clone(&self.members[member].process);
        let starting = tokio::task::spawn_blocking(move || {
            process.restart();
            process.wait_for(LISTENS)
        });
        starting.await.expect("no panic").unwrap_or_else(|log| panic!("member {member}: {log}"));
    }

    /// All that the member has written to its log.
    pub fn log(&self, member: usize) -> String {
        self.members[member].process.log()
    }

    async fn state(&self, member: usize) -> Option<State> {
        let hello = self.ask(member, doc! { "hello": 1 }).await?;
        let is = |field| hello.get_bool(field).unwrap_or(false);
        match (is("isWritablePrimary"), is("secondary")) {
            (true, _) => Some(State::Primary),
            (_, true) => Some(State::Secondary),
            _ => None,
        }
    }

    async fn status(&self, member: usize) -> Option<Document> {
        self.ask(member, doc! { "replSetGetStatus": 1 }).await
    }

    /// What a member answers, if it runs and does so soon.
    async fn ask(&self, member: usize, command: Document) -> Option<Document> {
        const SOON: Duration = Duration::from_secs(5);
        let login = self.options.auth && !command.contains_key("hello");
        let uri = if login {
            self.direct_uri(member)
        } else {
            format!("mongodb://{}/?directConnection=true", self.address(member))
        };
        let asking = async { client(&uri).await.database("admin").run_command(command).await.ok() };
        tokio::time::timeout(SOON, asking).await.ok().flatten()
    }

    async fn waited<T>(&self, what: &str, look: impl AsyncFn(&Self) -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look(self).await {
                return found;
            }
            if Instant::now() > end {
                let mut states = Vec::new();
                for member in 0..MEMBERS {
                    states.push(self.state(member).await);
                }
                panic!("there should be {what} by now; the members are {states:?}");
            }
            sleep(PAUSE).await;
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Primary,
    Secondary,
}

impl Member {
    async fn start(version: Version, options: Options) -> Self {
        // Another process may take the free port before the server does.
        let mut failure = String::new();
        for _ in 0..3 {
            let starting = tokio::task::spawn_blocking(move || {
                let more = ["--setParameter", "enableTestCommands=1"];
                let (process, port) = spawn(version, options, lasting_port(), &more);
                process.wait_for(LISTENS).map(|()| Self { process: Arc::new(process), port })
            });
            match starting.await.expect("no panic") {
                Ok(member) => return member,
                Err(log) => failure = log,
            }
        }
        panic!("mongod {}: {failure}", version.name())
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn numbers(client: &Client, collection: &str) -> u64 {
        let numbers = client.database("set").collection::<Document>(collection);
        numbers.count_documents(doc! {}).await.expect("a count")
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_set_elects_lags_dies_and_comes_back() {
        let options = Options { auth: true, ..Options::default() };
        let set = ReplicaSet::start_with(Version::V6_0_27, options).await;
        let client = set.client().await;
        let things = client.database("set").collection::<Document>("things");
        let mut insert = doc! { "insert": "things", "documents": [{ "_id": 1 }], "writeConcern": { "w": 3 } };
        client.database("set").run_command(insert.clone()).await.unwrap();

        let first = set.step_down(60).await;
        let second = set.primary().await;
        assert_ne!(first, second);

        set.lag(first, true).await;
        things.insert_one(doc! { "_id": 2 }).await.unwrap();
        assert_eq!(numbers(&set.direct(first).await, "things").await, 1, "a lagging member");
        set.lag(first, false).await;
        set.caught_up().await;
        assert_eq!(numbers(&set.direct(first).await, "things").await, 2);

        set.kill(second);
        let third = set.primary().await;
        assert_ne!(third, second);
        set.restart(second).await;
        set.settled().await;
        insert.insert("documents", [doc! { "_id": 3 }].to_vec());
        client.database("set").run_command(insert).await.unwrap();
        assert_eq!(numbers(&set.direct(second).await, "things").await, 3);

        set.without_primary().await;
        let secondary = super::client(&set.uri_with("readPreference=secondary")).await;
        let found =
            secondary.database("set").collection::<Document>("things").find_one(doc! { "_id": 3 }).await;
        assert!(found.unwrap().is_some());
        set.elect().await;
    }
}
