//! A SOCKS5 proxy on loopback, for this process's driver alone, that speaks TLS to the servers in the driver's place.
//!
//! The driver verifies servers in its own way and has no place for another; a proxy it knows. Between the two the bytes are
//! plain, and nobody but root sees them; a password that nobody is told keeps other processes out.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use mongodb::options::Socks5Proxy;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional_with_sizes};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::task::AbortOnDropHandle;

use super::cause::io_cause;
use super::heartbeats::Heartbeats;
use crate::{Error, ErrorKind, Result};

/// What is copied at a time, in bytes: a few of TLS's records of 16 KiB.
const BUFFER: usize = 64 * 1024;

/// The proxy; it ends, and its connections with it, when this is dropped.
#[derive(Debug)]
pub(super) struct Tunnel {
    port: u16,
    password: String,
    _accepting: AbortOnDropHandle<()>,
}

/// What every connection needs.
#[derive(Clone)]
struct Way {
    connector: TlsConnector,
    password: String,
    patience: Duration,
    heartbeats: Heartbeats,
}

impl Tunnel {
    /// Starts it; `patience` is how long a server may take to be connected to.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] when nothing can be listened on.
    pub(super) async fn start(
        config: ClientConfig,
        patience: Duration,
        heartbeats: &Heartbeats,
    ) -> Result<Self> {
        let internal = |error: io::Error| {
            Error::new(ErrorKind::Internal, "cannot listen on loopback for TLS").with_source(error)
        };
        let mut secret = [0; 16];
        let random = config.crypto_provider().secure_random;
        random.fill(&mut secret).map_err(|_| internal(io::Error::other("no random numbers")))?;
        let password = format!("{:032x}", u128::from_le_bytes(secret));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(internal)?;
        let port = listener.local_addr().map_err(internal)?.port();
        let connector = TlsConnector::from(Arc::new(config));
        let way = Way { connector, password: password.clone(), patience, heartbeats: heartbeats.clone() };
        let accepting = tokio::spawn(accept(listener, way));
        Ok(Self { port, password, _accepting: AbortOnDropHandle::new(accepting) })
    }

    /// What the driver is told of it.
    pub(super) fn proxy(&self) -> Socks5Proxy {
        let mut proxy = Socks5Proxy::builder().host(Ipv4Addr::LOCALHOST.to_string()).build();
        proxy.port = Some(self.port);
        proxy.authentication = Some((USER.to_owned(), self.password.clone()));
        proxy
    }
}

const USER: &str = "driver";

/// Connections end with the task that accepts them.
async fn accept(listener: TcpListener, way: Way) {
    // Bounded by the driver's pools: each of its connections is one.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((driver, _)) => { connections.spawn(serve(driver, way.clone())); }
                // The process may be out of descriptors for a moment.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// The driver sees every error as the end of its connection.
async fn serve(mut driver: TcpStream, way: Way) -> io::Result<()> {
    driver.set_nodelay(true)?;
    let (host, port) = greet(&mut driver, &way.password).await?;
    match timeout(way.patience, connect(&host, port, &way.connector))
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    {
        Ok(mut server) => {
            driver.write_all(&reply(SUCCEEDED)).await?;
            copy_bidirectional_with_sizes(&mut driver, &mut server, BUFFER, BUFFER).await?;
            Ok(())
        }
        Err(error) => {
            way.heartbeats.failed(format!("{host}:{port}"), io_cause(&error));
            driver.write_all(&reply(FAILED)).await
        }
    }
}

async fn connect(host: &str, port: u16, connector: &TlsConnector) -> io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    connector.connect(name, stream).await
}

/// Numbers of RFC 1928 and RFC 1929.
const VERSION: u8 = 5;
const PASSWORD: u8 = 2;
const PASSWORD_VERSION: u8 = 1;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;
const SUCCEEDED: u8 = 0;
const FAILED: u8 = 1;

fn reply(code: u8) -> [u8; 10] {
    [VERSION, code, 0, IPV4, 0, 0, 0, 0, 0, 0]
}

/// Lets the driver in and learns where it wants to go.
async fn greet(driver: &mut TcpStream, password: &str) -> io::Result<(String, u16)> {
    let refused = || io::Error::from(io::ErrorKind::PermissionDenied);
    if driver.read_u8().await? != VERSION || !counted(driver).await?.contains(&PASSWORD) {
        return Err(refused());
    }
    driver.write_all(&[VERSION, PASSWORD]).await?;
    driver.read_u8().await?;
    let user = counted(driver).await?;
    let given = counted(driver).await?;
    if user != USER.as_bytes() || given != password.as_bytes() {
        driver.write_all(&[PASSWORD_VERSION, FAILED]).await?;
        return Err(refused());
    }
    driver.write_all(&[PASSWORD_VERSION, SUCCEEDED]).await?;
    let mut request = [0; 4];
    driver.read_exact(&mut request).await?;
    let [VERSION, CONNECT, _, kind] = request else { return Err(refused()) };
    let host = match kind {
        IPV4 => Ipv4Addr::from(driver.read_u32().await?).to_string(),
        IPV6 => Ipv6Addr::from(driver.read_u128().await?).to_string(),
        NAME => String::from_utf8(counted(driver).await?).map_err(io::Error::other)?,
        _ => return Err(refused()),
    };
    Ok((host, driver.read_u16().await?))
}

/// Bytes with their number before them.
async fn counted(driver: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::from(driver.read_u8().await?)];
    driver.read_exact(&mut bytes).await?;
    Ok(bytes)
}
