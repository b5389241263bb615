//! Certificates, made by `openssl` as people make them.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// The password of encrypted keys.
pub const KEY_PASSWORD: &str = super::secrets::PASSWORD;

/// A folder of certificates. Every file holds a certificate and its key, in this order.
#[derive(Debug)]
pub struct Certificates(TempDir);

/// How a key is encrypted.
#[derive(Clone, Copy, Debug)]
pub enum Encryption {
    /// PKCS 8 with 3DES: what `openssl req` and `openssl genrsa` do.
    TripleDes,
    /// PKCS 8 with AES.
    Aes,
    /// Before PKCS 8.
    Traditional,
}

const CONFIGURATION: &str = "
[ca]
default_ca = it
[it]
database = index.txt
new_certs_dir = .
serial = serial
default_md = sha256
policy = any
copy_extensions = copy
unique_subject = no
[any]
commonName = supplied
";

impl Certificates {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("ca.cnf"), CONFIGURATION).expect("written");
        std::fs::write(folder.path().join("index.txt"), "").expect("written");
        Self(folder)
    }

    /// An authority.
    pub fn authority(&self, name: &str) -> PathBuf {
        self.request(name, &["basicConstraints=critical,CA:TRUE"]);
        self.sign(name, name, true)
    }

    /// A server's certificate, signed by an authority, for these names (`IP:127.0.0.1`, `DNS:localhost`).
    pub fn server(&self, name: &str, authority: &str, names: &str) -> PathBuf {
        self.request(name, &[&format!("subjectAltName={names}")]);
        self.sign(name, authority, true)
    }

    /// As `openssl req -x509` makes it: a server's certificate that is its own authority.
    pub fn self_signed(&self, name: &str, names: &str) -> PathBuf {
        let (extra, key) = (format!("subjectAltName={names}"), format!("{name}.key"));
        let curve = "ec_paramgen_curve:prime256v1";
        let certificate = format!("{name}.crt");
        let output = ["-noenc", "-keyout", &key, "-out", &certificate, "-days", "2"];
        self.openssl(
            ["req", "-x509", "-newkey", "ec", "-pkeyopt", curve, "-subj", "/CN=it", "-addext", &extra],
            output,
        );
        self.join(name)
    }

    /// The same with a time that has passed.
    pub fn expired_self_signed(&self, name: &str, names: &str) -> PathBuf {
        self.request(name, &["basicConstraints=critical,CA:TRUE", &format!("subjectAltName={names}")]);
        self.sign(name, name, false)
    }

    /// A server's certificate whose time has passed.
    pub fn expired_server(&self, name: &str, authority: &str, names: &str) -> PathBuf {
        self.request(name, &[&format!("subjectAltName={names}")]);
        self.sign(name, authority, false)
    }

    /// A client's certificate with its key encrypted by [`KEY_PASSWORD`].
    pub fn client(&self, name: &str, authority: &str, encryption: Encryption) -> PathBuf {
        self.request(name, &["extendedKeyUsage=clientAuth"]);
        self.sign(name, authority, true);
        let (key, encrypted) = (format!("{name}.key"), format!("{name}.encrypted"));
        let password = format!("pass:{KEY_PASSWORD}");
        let files = ["-in", &key, "-out", &encrypted, "-passout", &password];
        match encryption {
            Encryption::TripleDes => self.openssl(["pkcs8", "-topk8", "-v2", "des3"], files),
            Encryption::Aes => self.openssl(["pkcs8", "-topk8", "-v2", "aes256"], files),
            Encryption::Traditional => self.openssl(["ec", "-aes256"], files),
        }
        std::fs::rename(self.path(&encrypted), self.path(&key)).expect("renamed");
        self.join(name)
    }

    fn request(&self, name: &str, extensions: &[&str]) {
        let (key, request) = (format!("{name}.key"), format!("{name}.csr"));
        let curve = "ec_paramgen_curve:prime256v1";
        self.openssl(["genpkey", "-algorithm", "EC", "-pkeyopt", curve], ["-out", &key]);
        let subject = format!("/CN={name}");
        let mut arguments = vec!["req", "-new", "-key", &key, "-out", &request, "-subj", &subject];
        for extension in extensions {
            arguments.extend(["-addext", extension]);
        }
        self.openssl(arguments, []);
    }

    fn sign(&self, name: &str, authority: &str, valid: bool) -> PathBuf {
        let (request, certificate) = (format!("{name}.csr"), format!("{name}.crt"));
        let (key, signer) = (format!("{authority}.key"), format!("{authority}.crt"));
        let mut arguments = vec!["ca", "-batch", "-notext", "-create_serial", "-config", "ca.cnf"];
        arguments.extend(["-in", &request, "-out", &certificate, "-keyfile", &key]);
        arguments.extend(if name == authority { ["-selfsign", "-rand_serial"] } else { ["-cert", &signer] });
        arguments.extend(["-startdate", "20200101000000Z"]);
        arguments.extend(["-enddate", if valid { "20991231000000Z" } else { "20200201000000Z" }]);
        self.openssl(arguments, []);
        self.join(name)
    }

    /// One file of the certificate and the key, as mongod wants it.
    fn join(&self, name: &str) -> PathBuf {
        let read =
            |ending: &str| std::fs::read_to_string(self.path(&format!("{name}.{ending}"))).expect("made");
        let path = self.path(&format!("{name}.pem"));
        std::fs::write(&path, read("crt") + &read("key")).expect("written");
        path
    }

    fn openssl<'a>(
        &self,
        arguments: impl IntoIterator<Item = &'a str>,
        more: impl IntoIterator<Item = &'a str>,
    ) {
        let mut command = Command::new("openssl");
        let output = command.args(arguments).args(more).current_dir(self.0.path()).output().expect("openssl");
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// A path in the option of a connection string.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("a temporary folder has a plain name")
}
