//! Commands in an oplog: collections and indexes come, change and go.

use bson::{RawBsonRef, RawDocument, RawDocumentBuf, rawdoc};

use super::entry::{Entry, documents, text};
use super::operations::operation;
use super::{Replay, apply};
use crate::restore::element::malformed;
use crate::{Error, ErrorKind, Result, Scope};

impl Replay {
    /// Does what a command did.
    pub(super) async fn command(&mut self, entry: &Entry<'_>, depth: usize) -> Result<()> {
        let Some(command) = entry.command()? else {
            return Err(Error::new(ErrorKind::Archive, "its command is empty"));
        };
        let command_name = String::from_utf8_lossy(command.name).into_owned();
        let db = entry.db();
        match command_name.as_str() {
            "applyOps" => self.unroll(entry, &command, depth).await,
            "createIndexes" => {
                let name = text(&command)?;
                let object = document(entry.object)?;
                let index: RawDocumentBuf = object.iter().flatten().skip(1).collect();
                self.add_index(db, name, index)
            }
            "commitIndexBuild" => {
                let name = text(&command)?;
                let indexes = entry.field("indexes")?.ok_or_else(|| without("indexes"))?;
                for index in documents(&indexes)? {
                    self.add_index(db, name, document(index?)?.to_owned())?;
                }
                Ok(())
            }
            "deleteIndex" | "deleteIndexes" | "dropIndex" | "dropIndexes" => {
                let object = document(entry.object)?;
                self.catalog.drop_indexes(db, text(&command)?, object.get("index").ok().flatten())
            }
            "dropDatabase" => {
                let scope = self.context.options.scope.clone();
                if let Scope::Collection(one) = scope {
                    return self.drop_collection(entry, one.collection()).await;
                }
                self.catalog.drop_database(db);
                let of_db = |namespace: &String| namespace.split_once('.').is_some_and(|(of, _)| of == db);
                self.alone(operation(entry, None, self.keeps_uuid())?).await?;
                self.absent.retain(|namespace| !of_db(namespace));
                self.unexplained.retain(|namespace| !of_db(namespace));
                Ok(())
            }
            "drop" => self.drop_collection(entry, text(&command)?).await,
            "create" => self.create(entry, db, text(&command)?).await,
            "collMod" => self.modify(entry, db, text(&command)?).await,
            "renameCollection" => self.rename(entry, text(&command)?).await,
            "convertToCapped" => {
                let (name, object) = (text(&command)?, document(entry.object)?);
                let size = object.get("size").ok().flatten().unwrap_or(RawBsonRef::Null);
                self.barrier().await?;
                apply::cap(&self.context, db, name, size).await
            }
            "emptycapped" => self.alone(operation(entry, None, self.keeps_uuid())?).await,
            // It changes nothing.
            "dbCheck" => Ok(()),
            "upgradeDowngradeViewlessTimeseries" => Err(Error::new(
                ErrorKind::Archive,
                "`upgradeDowngradeViewlessTimeseries` cannot be replayed: while the dump was made, the source was told to be \
                 of another version, and its time series changed their form; restore with --oplogLimit set to before that, \
                 or dump again",
            )),
            name => {
                let message = format!("unknown oplog command name {name}: restore with a newer release");
                Err(Error::new(ErrorKind::Archive, message))
            }
        }
    }

    async fn drop_collection(&mut self, entry: &Entry<'_>, name: &str) -> Result<()> {
        let drop = rawdoc! { "drop": name };
        self.catalog.drop_collection(entry.db(), name);
        self.alone(operation(entry, Some(drop.as_bytes()), self.keeps_uuid())?).await?;
        self.explain(&format!("{}.{name}", entry.db()));
        Ok(())
    }

    fn add_index(&mut self, db: &str, name: &str, index: RawDocumentBuf) -> Result<()> {
        if index.get_document("key").is_err() {
            return Err(without("key"));
        }
        self.catalog.add(db, name, index);
        Ok(())
    }

    async fn create(&mut self, entry: &Entry<'_>, db: &str, name: &str) -> Result<()> {
        let object = document(entry.object)?;
        let own = ["create", "idIndex", "recordIdsReplicated"];
        let options = object.iter().flatten().filter(|(name, _)| !own.contains(&name.as_str())).collect();
        self.catalog.create(db, name, options);
        let sent: RawDocumentBuf =
            object.iter().flatten().filter(|(name, _)| name.as_str() != "recordIdsReplicated").collect();
        self.alone(operation(entry, Some(sent.as_bytes()), self.keeps_uuid())?).await?;
        self.absent.remove(&format!("{db}.{name}"));
        self.validated.insert(format!("{db}.{name}"));
        Ok(())
    }

    async fn modify(&mut self, entry: &Entry<'_>, db: &str, name: &str) -> Result<()> {
        let object = document(entry.object)?;
        // What only servers before 4.2 knew.
        let own = ["index", "noPadding", "usePowerOf2Sizes"];
        let rest: RawDocumentBuf =
            object.iter().flatten().filter(|(name, _)| !own.contains(&name.as_str())).collect();
        if let Ok(Some(index)) = object.get("index") {
            let change = index.as_document().ok_or_else(|| without("index"))?;
            self.catalog.change(db, name, change)?;
            if rest.iter().count() == 1 {
                return Ok(());
            }
        }
        if rest.get("validator").ok().flatten().is_some() {
            self.validated.insert(format!("{db}.{name}"));
        }
        self.alone(operation(entry, Some(rest.as_bytes()), self.keeps_uuid())?).await
    }

    async fn rename(&mut self, entry: &Entry<'_>, from: &str) -> Result<()> {
        let to = text(&entry.field("to")?.ok_or_else(|| without("to"))?)?;
        let (Some(of), Some(at)) = (from.split_once('.'), to.split_once('.')) else {
            return Err(without("to"));
        };
        self.catalog.rename(of, at);
        if self.keeps_uuid() && entry.uuid.is_some() {
            self.alone(operation(entry, None, true)?).await?;
        } else {
            self.barrier().await?;
            apply::rename(&self.context, from, to).await?;
        }
        self.explain(from);
        self.explain(to);
        Ok(())
    }
}

fn document(bytes: &[u8]) -> Result<&RawDocument> {
    RawDocument::from_bytes(bytes).map_err(|error| malformed().with_source(error))
}

fn without(field: &str) -> Error {
    Error::new(ErrorKind::Archive, format!("its command has no `{field}` that can be read"))
}
