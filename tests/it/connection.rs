//! Deployments that can and cannot be reached, and what is said then.

mod tls;
mod unreachable;

use mongoark::{Deployment, Error, MongoUri};

use crate::support::mongod::{Mongod, Version};

/// Connects and closes.
async fn connect(uri: &str) -> Result<(), Error> {
    Deployment::connect(&MongoUri::parse(uri)?).await?.close().await;
    Ok(())
}

/// What is said when it cannot be connected to.
async fn refusal(uri: &str) -> Error {
    let error = connect(uri).await.expect_err(uri);
    assert!(!error.report().contains("Topology"), "{}", error.report());
    error
}

/// Old guides and other drivers; mongodump 100.18.0 takes every one of them.
const FOREIGN: &str = "useNewUrlParser=true&useUnifiedTopology=true&socketTimeoutMS=30000&keepAlive=true&poolSize=5\
    &autoReconnect=true&slaveOk=true&wtimeout=1000&j=true&fsync=true&ssl_cert_reqs=CERT_NONE&family=4\
    &compressors=disabled&uuidRepresentation=standard&safe=true&maxPoolSize=0&tlsAllowInvalidHostnames=true\
    &tlsDisableOCSPEndpointCheck=true&gssapiServiceName=mongodb&timeoutMS=5000&connect=direct;retryWrites=true\
    &waitQueueMultiple=5&w=1&w=1";

#[tokio::test]
async fn options_of_old_guides_and_other_drivers_do_not_stand_in_the_way() {
    let server = Mongod::shared(Version::V6_0_5).await;
    let uri = format!("mongodb://127.0.0.1:{}/?{FOREIGN}", server.port());
    connect(&uri).await.unwrap();
    let warnings = MongoUri::parse(&uri).unwrap().warnings().join("\n");
    for unknown in ["useNewUrlParser", "poolSize", "ssl_cert_reqs", "tlsAllowInvalidHostnames"] {
        assert!(warnings.contains(unknown), "{warnings}");
    }
    for known in ["socketTimeoutMS", "wtimeout", "slaveOk", "uuidRepresentation", "true"] {
        assert!(!warnings.contains(known), "{warnings}");
    }
}
