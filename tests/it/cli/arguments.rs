//! What is meant by the arguments; whatever looks like a backup makes one or fails.

use super::{fails, sample};
use crate::support::mongoark::{archive, left_beside, mongoark};
use crate::support::mongod::{Mongod, Version};

#[tokio::test]
async fn b40_arguments_that_make_no_sense_are_refused_with_exit_code_1_and_one_sentence() {
    let (_folder, path) = archive("a");
    let place = format!("--archive={}", path.display());
    for (arguments, words) in [
        (&[][..], "give a command"),
        (&["frobnicate"], "give a command"),
        (&["help"], "give a command"),
        (&["-h"], "unknown option -h"),
        (&["-V"], "unknown option -V"),
        (&["dump"], "--archive"),
        (&["dump", "help", &place], "belongs to no option"),
        (&["dump", "--version", &place], "unknown option --version"),
        (&["dump", &place, "-h"], "--host"),
        (&["dump", &place, "-h", "--help"], "--host"),
        (&["dump", &place, "--host="], "--host"),
        (&["dump", &place, "--db="], "--db"),
        (&["dump", &place, "-d", "a", "--collection="], "--collection"),
        (&["dump", &place, "--uri="], "--uri"),
        (&["dump", &place, "--port=0"], "--port"),
        (&["dump", &place, "-j", "0"], "--numParallelCollections"),
        (&["dump", "--gzip"], "--archive is missing"),
        (&["dump", &place, "--out=dump"], "--out cannot be honoured"),
        (&["restore", "-o", "dump"], "-o cannot be honoured"),
        (&["restore", "--dir=dump"], "--dir cannot be honoured"),
        (&["dump", &place, "--sslCRLFile=/crl"], "--sslCRLFile cannot be honoured"),
        (&["dump", &place, "--sslFIPSMode"], "--sslFIPSMode cannot be honoured"),
        (&["dump", &place, "--gssapiServiceName=x"], "Kerberos"),
        (&["dump", &place, "-u", "ann", "--authenticationMechanism=GSSAPI"], "Kerberos"),
        (&["dump", &place, "--compressors=lz4"], "--compressors"),
        (&["dump", &place, "--verbose=very"], "--verbose"),
        (&["restore", &place, "dump/"], "belongs to no option"),
        (&["dump", &place, "--gzipLevel=3"], "--gzip"),
        (&["dump", "--archive="], "--archive"),
        (&["dump", "--archive", "FILE"], "write --archive=PATH"),
        (&["restore", "--archive", "FILE"], "write --archive=PATH"),
        (&["restore", &place, "--nonsense"], "unknown option --nonsense"),
        (&["restore", &place, "-h"], "--host"),
        (
            &["dump", &place, "mongodb://h", "mongodb://ann:hunter2hunter2@h"],
            "more than one connection string",
        ),
        (&["dump", &place, "-p", "hunter2hunter2"], "no user name"),
        (&["dump", &place, "--uri=mongodb://ann:a@h", "--password=hunter2hunter2"], "another password"),
    ] {
        let finished = mongoark(arguments.iter().copied()).await;
        assert_eq!(finished.code, Some(1), "{arguments:?}: {}", finished.stderr);
        assert!(finished.stdout.is_empty(), "{arguments:?}");
        assert!(finished.stderr.contains(words), "{arguments:?}: {}", finished.stderr);
        assert!(finished.stderr.lines().count() <= 2, "{}", finished.stderr);
        assert!(left_beside(&path).is_empty(), "{arguments:?}");
    }
}

#[tokio::test]
async fn b80_w31_an_archive_without_an_equals_sign_is_refused_with_a_hint() {
    for verb in ["dump", "restore"] {
        let finished = mongoark([verb, "--archive", "FILE"]).await;
        assert_eq!(finished.code, Some(1), "{}", finished.stderr);
        assert!(finished.stderr.contains("write --archive=PATH"), "{}", finished.stderr);
    }
}

#[tokio::test]
async fn b81_a_folder_means_the_archive_in_it() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let db = sample(&server.client().await, "folders", 3).await;
    let uri = format!("--uri={}", server.uri());
    let (folder, _) = archive("a");
    let place = format!("--archive={}", folder.path().display());
    for (gzip, name) in [(None, "archive"), (Some("--gzip"), "archive.gz")] {
        mongoark(["dump", &uri, "--db", &db, &place].into_iter().chain(gzip)).await.success();
        assert!(folder.path().join(name).is_file());
        let restored = mongoark(["restore", &uri, "--drop", &place].into_iter().chain(gzip)).await.success();
        assert!(restored.stderr.contains("3 document(s) restored successfully."), "{}", restored.stderr);
    }
}

#[tokio::test]
async fn a_missing_archive_is_told_before_a_server_is_asked() {
    let dead = "--uri=mongodb://127.0.0.1:1";
    fails(&["restore", dead, "--archive=/nonexistent/a"], &["/nonexistent/a"]).await;
    fails(&["restore", dead, "--archive=/"], &["archive", "no such file"]).await;
    let (_folder, path) = archive("a");
    std::fs::write(&path, "a letter, and no archive").unwrap();
    fails(&["restore", dead, &format!("--archive={}", path.display())], &["archive cannot be read"]).await;
}

#[tokio::test]
async fn help_and_version_are_printed_where_they_are_asked_for() {
    for arguments in [&["--help"][..], &["dump", "--help"], &["restore", "--help"], &["--version"]] {
        let finished = mongoark(arguments.iter().copied()).await.success();
        assert!(finished.stderr.is_empty() && !finished.stdout.is_empty(), "{arguments:?}");
    }
    let help = String::from_utf8(mongoark(["dump", "--help"]).await.stdout).unwrap();
    assert!(help.contains("-h, --host") && help.contains("--port"), "{help}");
}

#[tokio::test]
async fn h_is_the_host_as_in_the_scripts_of_mongodump() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let db = sample(&server.client().await, "hosts", 3).await;
    let port = server.port().to_string();
    let address = format!("127.0.0.1:{port}");
    let (set, same) = (format!("rs0/{address}"), format!("--uri={}", server.uri()));
    for connection in [
        &["-h", &address][..],
        &["--host", &address, "--port", &port],
        &["-h", "127.0.0.1", "--port", &port],
        &["-h", &set],
        &["--port", &port],
        &["-h", &set, &same],
        &[server.uri().as_str()],
        &["-h", "nowhere", "-h", &address, "--compressors=zstd,snappy,zlib"],
        &[
            "-h",
            &address,
            "--dialTimeout=5",
            "--serverSelectionTimeout=5",
            "--socketTimeout=0",
            "--numThreads=1",
            "-vvv",
        ],
    ] {
        let (_folder, path) = archive("a");
        let place = format!("--archive={}", path.display());
        let dump = ["dump", &place, "--db", &db].into_iter().chain(connection.iter().copied());
        mongoark(dump).await.success();
        assert!(path.is_file(), "{connection:?}");
        let restore = ["restore", &place, "--drop"].into_iter().chain(connection.iter().copied());
        let restored = mongoark(restore).await.success();
        assert!(restored.stderr.contains("3 document(s) restored successfully."), "{}", restored.stderr);
    }
}

#[tokio::test]
async fn a_connection_string_and_the_options_that_name_different_servers_are_refused() {
    let (_folder, path) = archive("a");
    let place = format!("--archive={}", path.display());
    let uri = "--uri=mongodb://ann:hunter2hunter2@127.0.0.1:1";
    fails(&["dump", uri, "-h", "127.0.0.1:2", &place], &["--host and --uri name different hosts"]).await;
    fails(&["dump", uri, "--port=2", &place], &["--port and --uri name different ports"]).await;
    fails(&["restore", uri, "-h", "elsewhere", &place], &["--host and --uri name different hosts"]).await;
    assert!(left_beside(&path).is_empty());
}
