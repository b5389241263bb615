//! What exists, has existed and was replaced during a round.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

use futures::TryStreamExt;
use mongodb::Database;
use mongodb::bson::{Bson, Document, doc};
use serde_json::{Value, json};

use super::super::contents::{Content, Contents};
use super::super::ensure;
use super::{BUSY, LARGE, SMALL, count_of, documents};

/// A collection's identity, as the archive's metadata writes it: hexadecimal digits.
pub(super) type Uuid = String;

/// The collections of the database over one round.
#[derive(Debug)]
pub(super) struct Model {
    /// What each name means now, and since when without a gap.
    names: BTreeMap<String, (Uuid, Instant)>,
    lives: HashMap<Uuid, Life>,
    /// From when to when a name existed that exists no longer.
    gaps: Vec<(Instant, Instant, String)>,
    /// When something else than documents was changed: until when at latest, and what.
    events: Vec<(Instant, Instant, String)>,
    generations: i32,
}

/// One collection, from its creation to its end.
#[derive(Debug)]
struct Life {
    /// What its documents carry.
    generation: i32,
    born: Instant,
    ended: Option<Instant>,
    names: BTreeSet<String>,
    states: Vec<State>,
}

/// Options and indexes of a collection at one moment.
#[derive(Clone, Debug)]
struct State {
    from: Instant,
    until: Option<Instant>,
    options: Value,
    indexes: Vec<Value>,
}

impl Model {
    /// Makes the small collections anew and looks at all.
    pub(super) async fn begin(database: &Database) -> Self {
        for name in database.list_collection_names().await.expect("names") {
            if name != LARGE {
                database.collection::<Document>(&name).drop().await.expect("dropped");
            }
        }
        let large = database.collection::<Document>(LARGE);
        large.drop_indexes().await.expect("no indexes");
        let mut model = Self {
            names: BTreeMap::new(),
            lives: HashMap::new(),
            gaps: Vec::new(),
            events: Vec::new(),
            generations: 0,
        };
        model.observe(database, LARGE, 0, Instant::now()).await;
        for name in SMALL {
            model.create(database, name).await;
        }
        model
    }

    /// Makes and fills a collection of a new generation.
    pub(super) async fn create(&mut self, database: &Database, name: &str) {
        self.generations += 1;
        let generation = self.generations;
        let options =
            doc! { "create": name, "validator": { "g": { "$gte": generation } }, "validationAction": "warn" };
        database.run_command(options).await.expect("created");
        let born = Instant::now();
        documents::fill(database, name, generation).await;
        // It counts from when it is full.
        self.observe(database, name, generation, born).await;
        let index = doc! { "createIndexes": name, "indexes": [{ "key": { "n": 1 }, "name": "n_1" }] };
        database.run_command(index).await.expect("an index");
        self.observe(database, name, generation, Instant::now()).await;
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.names.keys().cloned().collect()
    }

    pub(super) fn generation(&self, name: &str) -> i32 {
        self.lives[&self.names[name].0].generation
    }

    pub(super) fn is_capped(&self, name: &str) -> bool {
        let states = &self.lives[&self.names[name].0].states;
        states.last().is_some_and(|state| state.options["capped"] == true)
    }

    /// Notes what was done.
    pub(super) fn event(&mut self, from: Instant, text: String) {
        self.events.push((from, Instant::now(), text));
    }

    /// The name stops to exist; its collection too unless it goes on under another.
    pub(super) fn lose(&mut self, name: &str, ends: bool) -> Uuid {
        let (uuid, since) = self.names.remove(name).expect("a name");
        self.gaps.push((since, Instant::now(), name.to_owned()));
        if ends {
            self.end(&uuid);
        }
        uuid
    }

    /// The collection of this name stops to exist, and another takes the name at once.
    pub(super) fn replace(&mut self, name: &str) {
        let uuid = self.names[name].0.clone();
        self.end(&uuid);
    }

    fn end(&mut self, uuid: &Uuid) {
        self.lives.get_mut(uuid).expect("a life").ended = Some(Instant::now());
    }

    /// Looks at what the name means now. Whatever was changed has been changed since `from`.
    pub(super) async fn observe(&mut self, database: &Database, name: &str, generation: i32, from: Instant) {
        let Some((uuid, options, indexes)) = look(database, name).await else {
            panic!("{name} should be there");
        };
        let now = Instant::now();
        let life = self.lives.entry(uuid.clone()).or_insert_with(|| Life {
            generation,
            born: now,
            ended: None,
            names: BTreeSet::new(),
            states: Vec::new(),
        });
        life.names.insert(name.to_owned());
        if let Some(state) = life.states.last_mut() {
            state.until = Some(now);
        }
        life.states.push(State { from, until: None, options, indexes });
        let known = self.names.entry(name.to_owned()).or_insert_with(|| (uuid.clone(), now));
        known.0 = uuid;
    }

    /// What else than documents was changed, or may have been, between two moments.
    pub(super) fn events(&self, begin: Instant, end: Instant) -> Vec<&str> {
        let during = self.events.iter().filter(|(from, until, _)| *from <= end && *until >= begin);
        during.map(|(.., text)| text.as_str()).collect()
    }

    /// The archive of a dump between two moments holds what it has to, and nothing that never was.
    pub(super) fn check(&self, contents: &Contents, begin: Instant, end: Instant) -> Result<(), String> {
        for (namespace, content) in contents {
            let name = namespace.strip_prefix(BUSY).and_then(|name| name.strip_prefix('.'));
            let name = name.ok_or_else(|| format!("{namespace} is in the archive"))?;
            // What $out and convertToCapped fill before it takes the name.
            if !name.starts_with("tmp") {
                self.check_content(name, content, begin, end)?;
            }
        }
        let has_all = |names: &BTreeSet<String>| {
            let contents = names.iter().filter_map(|name| contents.get(&format!("{BUSY}.{name}")));
            let counts = contents
                .map(|content| content.ids().filter(|id| *id < 1_000_000).collect::<BTreeSet<_>>().len());
            let expected = count_of(names.first().expect("a name"));
            let best = counts.max();
            ensure(best.and_then(|best| i64::try_from(best).ok()) == Some(expected), || {
                format!(
                    "{names:?} existed throughout, but {best:?} of {expected} documents are in the archive"
                )
            })
        };
        for life in self.lives.values() {
            if life.born <= begin && life.ended.is_none_or(|ended| ended > end) {
                has_all(&life.names)?;
            }
        }
        let there = self.names.iter().filter(|(_, (_, since))| *since <= begin).map(|(name, _)| name);
        let lost_later = self.gaps.iter().filter(|(since, lost, _)| *since <= begin && *lost > end);
        for name in there.chain(lost_later.map(|(.., name)| name)) {
            has_all(&BTreeSet::from([name.clone()]))?;
        }
        Ok(())
    }

    fn check_content(
        &self,
        name: &str,
        content: &Content,
        begin: Instant,
        end: Instant,
    ) -> Result<(), String> {
        let uuid = content.metadata["uuid"].as_str().unwrap_or_default();
        let life = self.lives.get(uuid).ok_or_else(|| format!("{name} has the unknown UUID {uuid}"))?;
        ensure(life.names.contains(name), || format!("{name} has the UUID of {:?}", life.names))?;
        let strange =
            content.documents.iter().find(|document| document.get_i32("g").ok() != Some(life.generation));
        ensure(strange.is_none(), || {
            format!(
                "{name}, generation {}, holds {:?}",
                life.generation,
                strange.map(|document| document.get_i32("g"))
            )
        })?;
        let mut indexes: Vec<Value> = content.metadata["indexes"].as_array().cloned().unwrap_or_default();
        indexes.sort_by_key(|index| index["name"].as_str().unwrap_or_default().to_owned());
        // Options that are empty are not written.
        let options = content.metadata.get("options").cloned().unwrap_or_else(|| json!({}));
        let states = life.states.iter();
        let mut at =
            states.filter(|state| state.from <= end && state.until.is_none_or(|until| until >= begin));
        ensure(at.clone().any(|state| state.options == options && state.indexes == indexes), || {
            format!("{name} never had these options and indexes: {options} {indexes:?}, but {:?}", at.next())
        })
    }
}

/// The UUID, options and indexes of a collection that is there.
async fn look(database: &Database, name: &str) -> Option<(Uuid, Value, Vec<Value>)> {
    let list = doc! { "listCollections": 1, "filter": { "name": name } };
    let listed: Vec<Document> = database.run_cursor_command(list).await.ok()?.try_collect().await.ok()?;
    let listed = listed.first()?;
    let uuid = match listed.get_document("info").ok()?.get("uuid")? {
        Bson::Binary(uuid) => uuid.bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}")),
        _ => return None,
    };
    let options = listed.get_document("options").ok()?.clone();
    let cursor = database.run_cursor_command(doc! { "listIndexes": name }).await.ok()?;
    let mut indexes: Vec<Document> = cursor.try_collect().await.ok()?;
    indexes.sort_by_key(|index| index.get_str("name").unwrap_or_default().to_owned());
    let indexes = indexes.into_iter().map(|index| Bson::Document(index).into_canonical_extjson()).collect();
    Some((uuid, Bson::Document(options).into_canonical_extjson(), indexes))
}
