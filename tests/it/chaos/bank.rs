//! A bank that is dumped while money moves: eight clients, each transfer one transaction over four collections. What
//! mongorestore makes of an archive is a bank in which no money is missing and every transfer is whole.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use futures::TryStreamExt;
use mongoark::codec::{Compression, GzipLevel};
use mongoark::dump::{DumpOptions, DumpReport, SnapshotMode, dump};
use mongoark::progress::{Monitor, Silent};
use mongoark::storage::Sink;
use mongoark::{Deployment, MongoUri, Scope};
use mongodb::bson::{Document, doc};
use mongodb::{Client, Database};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Failures, Random, ensure, rounds};
use crate::support::mongoark::archive;
use crate::support::mongod::{Mongod, Version};
use crate::support::replica_set::ReplicaSet;
use crate::support::tools::mongorestore;

const WRITERS: usize = 8;

/// What every account holds in the beginning.
const START: i64 = 1000;

const SAVINGS: i32 = 300;

/// Dumps without a snapshot until one has to be broken; the first is, as a rule.
const DUMPS_WITHOUT: usize = 20;

/// What makes an archive one of one moment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum By {
    Snapshot,
    Oplog,
    Nothing,
}

/// Where the accounts are many enough to be read in parts (over 40 MB), and where they are not.
#[derive(Clone, Copy, Debug)]
struct Bank {
    name: &'static str,
    accounts: i32,
}

const BANKS: [Bank; 2] = [Bank { name: "bank", accounts: 10_500 }, Bank { name: "till", accounts: 1000 }];

impl Bank {
    async fn open(self, client: &Client) {
        let database = client.database(self.name);
        let text = "x".repeat(4000);
        let numbers: Vec<i32> = (0..self.accounts).collect();
        for some in numbers.chunks(1000) {
            let accounts = some.iter().map(|number| doc! { "_id": number, "balance": START, "text": &text });
            database.collection::<Document>("accounts").insert_many(accounts).await.expect("accounts");
        }
        let savings = (0..SAVINGS).map(|number| doc! { "_id": number, "balance": START });
        database.collection::<Document>("savings").insert_many(savings).await.expect("savings");
        for name in ["ledger", "receipts"] {
            database.create_collection(name).await.expect("created");
        }
    }

    /// Moves money until it is told to stop.
    async fn transfer(self, client: Client, next: Arc<AtomicI64>, stop: Arc<AtomicBool>, mut random: Random) {
        while !stop.load(Ordering::Relaxed) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let mut below =
                |end: i32| i32::try_from(random.below(u64::try_from(end).expect("positive"))).expect("small");
            let (from, to, amount) = (below(self.accounts), below(SAVINGS), i64::from(below(50)) + 1);
            // Two that want the same account at once: one of them is refused, wholly.
            self.one(&client, number, from, to, amount).await.ok();
        }
    }

    async fn one(
        self,
        client: &Client,
        number: i64,
        from: i32,
        to: i32,
        amount: i64,
    ) -> mongodb::error::Result<()> {
        let database = client.database(self.name);
        let of = |name: &str| database.collection::<Document>(name);
        let mut session = client.start_session().await?;
        session.start_transaction().await?;
        let change = |amount: i64| doc! { "$inc": { "balance": amount }, "$set": { "last": number } };
        of("accounts").update_one(doc! { "_id": from }, change(-amount)).session(&mut session).await?;
        of("ledger")
            .insert_one(doc! { "_id": number, "from": from, "to": to, "amount": amount })
            .session(&mut session)
            .await?;
        of("savings").update_one(doc! { "_id": to }, change(amount)).session(&mut session).await?;
        of("receipts").insert_one(doc! { "_id": number }).session(&mut session).await?;
        session.commit_transaction().await
    }

    /// Whether every transfer is there with both its sides, the ledger and the receipt, or not at all: how many there are.
    async fn audit(self, database: &Database, at_least: u64) -> Result<usize, String> {
        let all = async |name: &str| -> Vec<Document> {
            let collection = database.collection::<Document>(name);
            let found = collection.find(doc! {}).projection(doc! { "text": 0 }).await.expect("a cursor");
            found.try_collect().await.expect("documents")
        };
        let number = |document: &Document| document.get_i64("_id").expect("a number");
        let ledger = all("ledger").await;
        let known: HashSet<i64> = ledger.iter().map(number).collect();
        let receipts: HashSet<i64> = all("receipts").await.iter().map(number).collect();
        ensure(known == receipts, || "the ledger and the receipts differ".to_owned())?;
        ensure(u64::try_from(known.len()).expect("few") >= at_least, || {
            format!("{} transfers, and {at_least} were there before", known.len())
        })?;
        let mut moved: HashMap<(&str, i32), i64> = HashMap::new();
        for transfer in &ledger {
            let amount = transfer.get_i64("amount").expect("an amount");
            *moved.entry(("accounts", transfer.get_i32("from").expect("from"))).or_default() -= amount;
            *moved.entry(("savings", transfer.get_i32("to").expect("to"))).or_default() += amount;
        }
        let mut sum = 0;
        for (name, count) in [("accounts", self.accounts), ("savings", SAVINGS)] {
            let accounts = all(name).await;
            ensure(accounts.len() == usize::try_from(count).expect("positive"), || {
                format!("{} of {count} {name}", accounts.len())
            })?;
            for account in accounts {
                let id = account.get_i32("_id").expect("a number");
                let balance = account.get_i64("balance").expect("a balance");
                let right = START + moved.get(&(name, id)).copied().unwrap_or(0);
                ensure(balance == right, || format!("{name} {id} holds {balance}, by the ledger {right}"))?;
                let last = account.get_i64("last").ok();
                ensure(last.is_none_or(|last| known.contains(&last)), || {
                    format!("{name} {id} knows a transfer that the ledger does not")
                })?;
                sum += balance;
            }
        }
        let right = START * i64::from(self.accounts + SAVINGS);
        ensure(sum == right, || format!("all accounts hold {sum}, and held {right}"))?;
        Ok(known.len())
    }
}

/// Both banks, where they are written and where they are restored.
struct Banks {
    set: ReplicaSet,
    client: Client,
    target: Mongod,
    next: Arc<AtomicI64>,
}

impl Banks {
    async fn open() -> Self {
        let set = ReplicaSet::start(Version::V6_0_27).await;
        let client = set.client().await;
        for bank in BANKS {
            bank.open(&client).await;
        }
        set.caught_up().await;
        Self { set, client, target: Mongod::start(Version::V6_0_27).await, next: Arc::default() }
    }

    fn begin(&self, bank: Bank, random: &mut Random) -> (Arc<AtomicBool>, Vec<JoinHandle<()>>) {
        let stop = Arc::<AtomicBool>::default();
        let one = |_| {
            let (next, stop) = (Arc::clone(&self.next), Arc::clone(&stop));
            tokio::spawn(bank.transfer(self.client.clone(), next, stop, random.fork()))
        };
        let writers = (0..WRITERS).map(one).collect();
        (stop, writers)
    }

    async fn dump(
        &self,
        bank: Bank,
        preference: &str,
        compression: Compression,
        by: By,
    ) -> Result<(Vec<u8>, DumpReport), String> {
        let uri = self.set.uri_with(&format!("readPreference={preference}"));
        let deployment = Deployment::connect(&MongoUri::parse(&uri).expect("a connection string")).await;
        let deployment = deployment.map_err(|error| error.report())?;
        let scope = Scope::Database(bank.name.to_owned());
        let snapshot = match by {
            By::Snapshot => SnapshotMode::Required,
            By::Oplog => SnapshotMode::Auto,
            By::Nothing => SnapshotMode::Off,
        };
        let oplog = by == By::Oplog;
        let options = DumpOptions { scope, compression, snapshot, oplog, ..DumpOptions::default() };
        let (sink, memory) = Sink::memory();
        let monitor: Arc<dyn Monitor> = Arc::new(Silent);
        let report = Box::pin(dump(&deployment, &options, sink, &monitor, &CancellationToken::new())).await;
        deployment.close().await;
        let report = report.map_err(|error| error.report())?;
        Ok((memory.bytes().expect("complete").to_vec(), report))
    }

    /// Dumps the bank while money moves, and audits what mongorestore makes of the archive: how many transfers are in it,
    /// and how many there were in all. `Err(Ok(..))` is an archive that is not whole.
    async fn round(
        &self,
        bank: Bank,
        preference: &str,
        by: By,
        random: &mut Random,
    ) -> Result<(usize, u64), String> {
        let ledger = self.client.database(bank.name).collection::<Document>("ledger");
        let (stop, writers) = self.begin(bank, random);
        let first = ledger.count_documents(doc! {}).await.expect("a count");
        // The dump begins in the middle of it.
        while ledger.count_documents(doc! {}).await.expect("a count") < first + 30 {}
        let before = ledger.count_documents(doc! {}).await.expect("a count");
        let compression = random.pick(&[Compression::None, Compression::Gzip(GzipLevel::default())]);
        let dumped = self.dump(bank, preference, compression, by).await;
        while ledger.count_documents(doc! {}).await.expect("a count") < before + 30 {}
        stop.store(true, Ordering::Relaxed);
        for writer in writers {
            writer.await.expect("no panic");
        }
        let (bytes, report) = dumped?;
        let is_right = match by {
            By::Snapshot => report.snapshot.at.is_some(),
            By::Oplog => report.snapshot.replayed.is_some(),
            By::Nothing => report.snapshot.at.is_none() && report.snapshot.replayed.is_none(),
        };
        ensure(is_right, || format!("{}", report.snapshot))?;

        let (_folder, path) = archive("bank");
        std::fs::write(&path, bytes).expect("written");
        let gzip = matches!(compression, Compression::Gzip(_)).then(|| "--gzip".to_owned());
        let arguments = [format!("--uri={}", self.target.uri()), format!("--archive={}", path.display())];
        let only = format!("--nsInclude={}.*", bank.name);
        let more = ["--drop".to_owned(), if by == By::Oplog { "--oplogReplay".to_owned() } else { only }];
        let restored = mongorestore(arguments.into_iter().chain(more).chain(gzip)).await;
        ensure(restored.code == Some(0), || restored.stderr.clone())?;
        let database = self.target.client().await.database(bank.name);
        // A dump without a snapshot may be older in one collection than in another, but none of it is older than this.
        let found = bank.audit(&database, before).await?;
        let after = ledger.count_documents(doc! {}).await.expect("a count");
        Ok((found, after))
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs mongodump and mongorestore: set MONGO_TOOLS and use tests/run"]
async fn every_transfer_is_whole_in_every_archive() {
    let banks = Banks::open().await;
    let mut failures = Failures::default();
    for (number, mut random) in rounds(4, 50).into_iter().enumerate() {
        let (bank, preference) = (BANKS[number % 2], ["primary", "secondary"][number / 2 % 2]);
        let result = banks.round(bank, preference, By::Snapshot, &mut random).await;
        let result = result.and_then(|(found, after)| {
            ensure(u64::try_from(found).expect("few") < after, || {
                format!("{found} of {after} transfers: none was made meanwhile")
            })?;
            Ok(format!("{} from the {preference}, {found} of {after} transfers, all whole", bank.name))
        });
        failures.note(&random, "bank", &result);
    }
    failures.assert_none();

    // The audit notices a dump that is not of one moment.
    let mut broken = None;
    for mut random in rounds(1, 1).into_iter().cycle().take(DUMPS_WITHOUT) {
        if let Err(error) = banks.round(BANKS[0], "primary", By::Nothing, &mut random).await {
            broken = Some(error);
            break;
        }
    }
    let broken = broken.expect("a dump without a snapshot that is not whole");
    assert!(broken.contains("ledger") || broken.contains("all accounts hold"), "{broken}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs mongodump and mongorestore: set MONGO_TOOLS and use tests/run"]
async fn every_transfer_is_whole_once_the_oplog_is_replayed() {
    let banks = Banks::open().await;
    let mut failures = Failures::default();
    for (number, mut random) in rounds(4, 30).into_iter().enumerate() {
        let (bank, preference) = (BANKS[number % 2], ["primary", "secondary"][number / 2 % 2]);
        let result = banks.round(bank, preference, By::Oplog, &mut random).await;
        let result = result.map(|(found, after)| {
            format!("{} from the {preference}, {found} of {after} transfers, all whole", bank.name)
        });
        failures.note(&random, "bank with oplog", &result);
    }
    failures.assert_none();
}
