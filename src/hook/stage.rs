//! How far the work has come.

use crate::{Error, ErrorKind};

/// What the work waits for, to say so when time has run out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stage {
    CodeDeploy,
    Bucket,
    Secret,
    Connection,
    Lease,
    Dump,
    Completion,
    Restore,
}

impl Stage {
    /// Time has run out in this stage.
    pub(super) fn out_of_time(self) -> Error {
        let (waiting, advice) = match self {
            Self::CodeDeploy => (
                "asking CodeDeploy",
                "give the function more time, and in a VPC an interface endpoint for CodeDeploy or a NAT gateway",
            ),
            Self::Bucket => (
                "asking S3 for the archive",
                "give the function more time, and in a VPC a gateway endpoint for S3 or a NAT gateway",
            ),
            Self::Secret => (
                "reading the secret",
                "give the function more time, and in a VPC an interface endpoint for Secrets Manager or a NAT gateway",
            ),
            Self::Connection => (
                "connecting to MongoDB",
                "give the function more time, and a network path to the hosts of the connection string",
            ),
            Self::Lease => (
                "asking S3 for the lease of the deployment",
                "give the function more time, and in a VPC a gateway endpoint for S3 or a NAT gateway",
            ),
            Self::Dump => (
                "dumping, and no archive was kept",
                "raise the function's timeout or its memory, which brings more processors",
            ),
            Self::Completion => (
                "completing the archive, and S3 has not told whether it is there",
                "look before starting again: an archive that is there is whole",
            ),
            Self::Restore => (
                "restoring, and part of the data is in place",
                "raise the function's timeout or its memory, which brings more processors, and restore again",
            ),
        };
        Error::new(ErrorKind::Cancelled, format!("the function's time ended while {waiting}; {advice}"))
    }
}
