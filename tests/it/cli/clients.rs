//! Backup projects that call mongodump and mongorestore with archives: their command lines, as they build them, run against
//! links to this program. The words are ours; each is named with what of it was read.

use mongodb::bson::{Document, doc};

use super::PATIENCE;
use crate::secrets::encoded;
use crate::support::mongoark::{archive, finish, links};
use crate::support::mongod::{Mongod, Options, ROOT, ROOT_PASSWORD, Version};
use crate::support::tools::Finished;

/// One project: how it dumps, how it restores, and a line that it looks for, if it does.
struct Client {
    project: &'static str,
    dump: &'static str,
    restore: &'static str,
    looks_for: Option<&'static str>,
}

/// `$HOST`, `$PORT`, `$USER` and `$PASS` are the server's, `$URIPASS` is the password as a connection string has it, `$F` is a
/// file.
const CLIENTS: [Client; 8] = [
    // src/Databases/MongoDb.php: values in single quotes, the archive by redirection, gzip as a process of its own.
    Client {
        project: "spatie/db-dumper",
        dump: "'mongodump' --db shop --archive --username \"$USER\" --password \"$PASS\" --host $HOST --port $PORT \
               --collection orders --authenticationDatabase admin | gzip > \"$F\"",
        restore: "gunzip < \"$F\" | mongorestore --archive --drop --host $HOST --port $PORT -u \"$USER\" -p \"$PASS\" \
                  --authenticationDatabase admin",
        looks_for: None,
    },
    // pkg/backup/local.go, utils.go and validate.go: both streams together, and a regular expression over the last line.
    Client {
        project: "stefanprodan/mgob",
        dump: "mongodump --archive=$F --gzip --host $HOST --port $PORT -u \"$USER\" -p \"$PASS\" --db shop \
               --authenticationDatabase=admin 2>&1",
        restore: "mongorestore --archive=$F --gzip --host $HOST --port $PORT -u \"$USER\" -p \"$PASS\" --nsInclude shop.* \
                  --authenticationDatabase=admin --drop 2>&1",
        looks_for: Some("2 document(s) restored successfully. 0 document(s) failed"),
    },
    // examples/mongodb/mongo-blueprint.yaml: a command in a variable, through pipes to and from an object store.
    Client {
        project: "kanisterio/kanister",
        dump: "dump_cmd=\"mongodump --oplog --gzip --archive --host ${HOST}:${PORT} -u $USER -p $PASS\"; ${dump_cmd} | cat > $F",
        restore: "restore_cmd=\"mongorestore --gzip --archive --oplogReplay --drop --host ${HOST}:${PORT} -u $USER -p $PASS\"; \
                  cat $F | ${restore_cmd}",
        looks_for: None,
    },
    // addons/mongodb/dataprotection/mongodump-{backup,restore}.sh: a connection string without the user, who is an option.
    Client {
        project: "apecloud/kubeblocks-addons",
        dump: "mongodump --uri \"mongodb://$HOST:$PORT\" -u $USER -p $PASS --authenticationDatabase admin --oplog --archive \
               --numParallelCollections=2 | cat > $F",
        restore: "cat $F | mongorestore --archive --oplogReplay --numParallelCollections=2 --uri \"mongodb://$HOST:$PORT\" -u $USER \
                  -p $PASS --authenticationDatabase admin --drop",
        looks_for: None,
    },
    // pkg/backup.go and restore.go: everything written with equals signs for the dump, and apart for the restore.
    Client {
        project: "stashed/mongodb",
        dump: "mongodump --uri \"mongodb://$HOST:$PORT\" --archive --username=$USER --password=$PASS \
               --authenticationDatabase=admin | cat > $F",
        restore: "cat $F | mongorestore --host $HOST --archive --username $USER --password $PASS --authenticationDatabase admin \
                  --port=$PORT --nsExclude=config.changelog --drop",
        looks_for: None,
    },
    // backup.sh of a container that uploads to S3.
    Client {
        project: "jani888/mongodb-s3-backup",
        dump: "mongodump --username=${USER} --password=${PASS} --authenticationDatabase=admin --host=${HOST} --port=${PORT} --oplog \
               --gzip --archive=$F",
        restore: "mongorestore --username=${USER} --password=${PASS} --authenticationDatabase=admin --host=${HOST} --port=${PORT} \
                  --gzip --archive=$F --drop",
        looks_for: None,
    },
    // data/mongodb_restore.sh and many a read-me: a shell in a container, the archive on the standard streams.
    Client {
        project: "alexkuroedov/blogster",
        dump: "sh -c \"exec mongodump --archive --gzip mongodb://$USER:$URIPASS@$HOST:$PORT\" > $F",
        restore: "sh -c \"exec mongorestore --archive=$F --gzip --drop mongodb://$USER:$URIPASS@$HOST:$PORT\"",
        looks_for: Some("finished restoring `shop.orders` (2 documents, 0 failures)"),
    },
    // mongodump_to_ec2.sh: one database under another's name.
    Client {
        project: "bimlu/ignou-library",
        dump: "mongodump --archive=\"$F\" --db=\"shop\" --uri=mongodb://$USER:$URIPASS@$HOST:$PORT/?authSource=admin",
        restore: "mongorestore --archive=\"$F\" --nsFrom='shop.*' --nsTo='shop.*' --drop \
                  --uri=mongodb://$USER:$URIPASS@$HOST:$PORT/?authSource=admin",
        looks_for: None,
    },
];

#[tokio::test]
async fn the_command_lines_of_public_backup_projects_work_unchanged() {
    let server = Mongod::start_with(Version::V6_0_5, Options { auth: true, ..Options::default() }).await;
    let client = server.client().await;
    let orders = client.database("shop").collection::<Document>("orders");
    for Client { project, dump, restore, looks_for } in CLIENTS {
        orders.drop().await.unwrap();
        orders.insert_many([doc! { "_id": 1 }, doc! { "_id": 2 }]).await.unwrap();
        let (_folder, path) = archive("backup");
        let file = path.to_str().unwrap();
        let dumped = script(&server, dump, file).await;
        let restored = if dumped.code == Some(0) {
            orders.drop().await.unwrap();
            Some(script(&server, restore, file).await)
        } else {
            None
        };
        let finished = restored.as_ref().unwrap_or(&dumped);
        assert_eq!(finished.code, Some(0), "{project}: {}", finished.stderr);
        assert_eq!(orders.count_documents(doc! {}).await.unwrap(), 2, "{project}: {}", finished.stderr);
        if let Some(line) = looks_for {
            let said = format!("{}{}", finished.stderr, String::from_utf8_lossy(&finished.stdout));
            assert!(said.contains(line), "{project}: {said}");
        }
    }
}

/// Runs a script as `bash -o pipefail` does, with the links before everything else.
async fn script(server: &Mongod, script: &str, file: &str) -> Finished {
    let links = links();
    let path = format!("{}:/usr/bin:/bin", links.path().display());
    let child = tokio::process::Command::new("bash")
        .args(["-o", "pipefail", "-c", script])
        .env_clear()
        .envs([("PATH", path.as_str()), ("HOST", "127.0.0.1"), ("PORT", &server.port().to_string())])
        .envs([("USER", ROOT), ("PASS", ROOT_PASSWORD), ("URIPASS", &encoded(ROOT_PASSWORD)), ("F", file)])
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("bash");
    tokio::time::timeout(PATIENCE, finish(child)).await.expect("ends")
}
