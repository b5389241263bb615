//! What is particular to files, pipes and devices.

use crate::support::mongod::{Mongod, Version};

use super::{assert_same, keep, noise, read, store, write};
use mongoark::ErrorKind;
use mongoark::storage::{CreateOptions, Location, Storage};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn an_unfinished_file_lies_hidden_beside_its_final_name() {
    let folder = tempfile::tempdir().unwrap();
    let at = Location::file(folder.path().join("a.archive"));
    let mut sink = Storage::local().create(&at, &CreateOptions::default()).await.unwrap();
    store(&mut sink, &noise(10, 1)).await.unwrap();
    let [name] = names(folder.path()).try_into().unwrap();
    assert!(name.starts_with(".a.archive.") && name.ends_with(".partial"), "{name}");
    sink.complete().await.unwrap();
    assert_eq!(names(folder.path()), ["a.archive"]);
}

#[tokio::test]
async fn a_name_as_long_as_the_file_system_allows_is_fine() {
    let folder = tempfile::tempdir().unwrap();
    let at = Location::file(folder.path().join("n".repeat(255)));
    write(&Storage::local(), &at, &keep(), &noise(10, 2)).await.unwrap();
    assert_eq!(names(folder.path()), ["n".repeat(255)]);
}

#[tokio::test]
async fn a_replaced_file_passes_its_permissions_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.archive");
    fs::write(&path, "old").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    write(&Storage::local(), &Location::file(&path), &CreateOptions::default(), &noise(10, 3)).await.unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_symbolic_link_stays_and_the_file_appears_where_it_points() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("store")).unwrap();
    let (link, target) = (folder.path().join("latest"), folder.path().join("store/a.archive"));
    symlink("store/a.archive", &link).unwrap();
    for seed in [4, 5] {
        let bytes = noise(10, seed);
        write(&Storage::local(), &Location::file(&link), &CreateOptions::default(), &bytes).await.unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_same(&fs::read(&target).unwrap(), &bytes);
    }
    assert_eq!(names(&folder.path().join("store")), ["a.archive"]);
}

#[tokio::test]
async fn a_missing_folder_and_a_folder_as_target_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = Location::file(folder.path().join("none/a.archive"));
    let error = Storage::local().create(&missing, &CreateOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().starts_with(&missing.to_string()), "{error}");

    let itself = Location::file(folder.path());
    for error in [
        Storage::local().create(&itself, &CreateOptions::default()).await.unwrap_err(),
        Storage::local().open(&itself).await.unwrap_err(),
        Storage::local().stat(&itself).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("it is a directory"), "{error}");
    }
}

#[tokio::test]
async fn a_full_disk_is_told_as_such() {
    let full = Location::file("/dev/full");
    let error =
        write(&Storage::local(), &full, &CreateOptions::default(), &noise(1 << 20, 6)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage);
    assert!(
        error.to_string().contains("/dev/full: cannot be") && error.to_string().contains("full or"),
        "{error}"
    );
}

#[tokio::test]
async fn devices_and_pipes_are_written_straight() {
    write(&Storage::local(), &Location::file("/dev/null"), &keep(), &noise(1 << 20, 7)).await.unwrap();
    assert_eq!(Storage::local().stat(&Location::file("/dev/null")).await.unwrap(), None);

    let folder = tempfile::tempdir().unwrap();
    let pipe = Location::file(make_pipe(folder.path()));
    let bytes = noise(3 << 20, 8);
    let storage = Storage::local();
    let reading = async {
        let mut source = storage.open(&pipe).await.unwrap();
        assert_eq!(source.size(), None);
        read(&mut source).await.unwrap()
    };
    let options = CreateOptions::default();
    let (stored, found) = tokio::join!(write(&storage, &pipe, &options, &bytes), reading);
    assert_eq!(stored.unwrap().bytes, 3 << 20);
    assert_same(&found, &bytes);
    assert_eq!(names(folder.path()), ["pipe"]);
}

#[tokio::test]
async fn a_pipe_whose_reader_leaves_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = make_pipe(folder.path());
    let pipe = Location::file(&path);
    let reader = std::thread::spawn(move || fs::File::open(path).map(drop));
    let mut sink = Storage::local().create(&pipe, &CreateOptions::default()).await.unwrap();
    reader.join().unwrap().unwrap();
    let error = match store(&mut sink, &noise(8 << 20, 9)).await {
        Err(error) => error,
        Ok(()) => sink.complete().await.unwrap_err(),
    };
    assert_eq!(error.kind(), ErrorKind::Storage);
    assert!(error.to_string().contains("closed the pipe"), "{error}");
}

#[tokio::test]
async fn a_missing_file_is_not_found() {
    let folder = tempfile::tempdir().unwrap();
    let at = Location::file(folder.path().join("a.archive"));
    let error = Storage::local().open(&at).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().starts_with(&at.to_string()), "{error}");
}

#[tokio::test]
async fn an_error_of_the_system_is_said_once() {
    let folder = tempfile::tempdir().unwrap();
    let at = Location::file(folder.path().join("none/a.archive"));
    let error = Storage::local().create(&at, &CreateOptions::default()).await.unwrap_err();
    assert_eq!(error.report().to_lowercase().matches("no such file or directory").count(), 1, "{error:?}");
}

#[tokio::test]
async fn a_file_whose_creation_is_given_up_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let at = Location::file(folder.path().join("a.archive"));
    let (storage, options) = (Storage::local(), CreateOptions::default());
    for pause in 0..300 {
        let creation = storage.create(&at, &options);
        let given_up = tokio::time::timeout(std::time::Duration::from_micros(pause), creation).await;
        drop(given_up);
        assert_eq!(names(folder.path()), Vec::<String>::new());
    }
}

/// Root may do everything: the program runs as somebody else where the test runs as root.
#[tokio::test]
async fn a_directory_that_may_be_written_and_not_read_gets_its_archive() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o733)).unwrap();
    let path = folder.path().join("a.archive");
    let program = env!("CARGO_BIN_EXE_mongoark");
    let (uri, archive) = (format!("--uri={}", server.uri()), format!("--archive={}", path.display()));
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let mut command = if is_root {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", program]);
        command
    } else {
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o333)).unwrap();
        Command::new(program)
    };
    let dump = command.args(["dump", "--db=nothing_here", &uri, &archive]).output().unwrap();
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(names(folder.path()), ["a.archive"]);
}

fn make_pipe(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("pipe");
    assert!(Command::new("mkfifo").arg(&path).status().expect("mkfifo").success());
    path
}

#[tokio::test]
async fn what_a_killed_process_has_left_goes_with_the_next_archive_and_what_is_at_work_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    let left = |name: &str| folder.path().join(name).exists();
    for name in [".a.0123456789abcdef.partial", ".a.mine.partial", ".b.0123456789abcdef.partial"] {
        fs::write(folder.path().join(name), b"half").unwrap();
    }
    let storage = Storage::local();
    let at_work = storage.create(&Location::file(&path), &CreateOptions::default()).await.unwrap();
    let other = storage.create(&Location::file(&path), &CreateOptions::default()).await.unwrap();
    assert!(!left(".a.0123456789abcdef.partial"), "nobody works on it");
    assert!(left(".a.mine.partial") && left(".b.0123456789abcdef.partial"), "not of this archive");
    let both = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(both, 4, "two are at work");
    other.complete().await.unwrap();
    at_work.complete().await.unwrap();
    let both = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(both, 3, "the archive and what is not of it");
}
