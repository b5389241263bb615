//! How far the work has come.

use crate::{Error, ErrorKind};

/// What the work waits for, to say so when time has run out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stage {
    CodeDeploy,
    Bucket,
    Secret,
    Connection,
    Turn,
    Lease,
    Dump,
    Completion,
    Proof,
    Reading,
    Restore,
    Swap,
    Drill,
}

impl Stage {
    /// Time has run out in this stage.
    pub(super) fn out_of_time(self) -> Error {
        self.out_of_time_for(None)
    }

    /// As [`out_of_time`](Self::out_of_time), with better advice where it is known.
    pub(super) fn out_of_time_for(self, known: Option<&str>) -> Error {
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
            Self::Turn => (
                "waiting for another invocation, which is at work on the archive",
                "give the function more time, or wait for the other one",
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
            Self::Proof => (
                "proving the archive, which is there and not proven",
                "give the function more time, and verify the archive before you rely on it",
            ),
            Self::Reading => (
                "reading the archive to prove it, and nothing was changed",
                "raise the function's timeout or its memory, which brings more processors",
            ),
            Self::Restore => (
                "restoring, and part of the data is in place",
                "raise the function's timeout or its memory, which brings more processors, and restore again",
            ),
            Self::Swap => (
                "restoring by swap: the databases are as they were or, where the switch had begun, as in the archive",
                "raise the function's timeout or its memory, which brings more processors, and restore again, which completes \
                 or removes what is left of this one",
            ),
            Self::Drill => (
                "drilling, and only scratch databases were written into, which the next drill removes where any are left",
                "raise the function's timeout or its memory, which brings more processors",
            ),
        };
        let advice = known.unwrap_or(advice);
        Error::new(ErrorKind::Cancelled, format!("the function's time ended while {waiting}; {advice}"))
    }
}
