//! What S3 and the way to it say when they refuse, in one sentence each.
//!
//! Nothing of a request gets into an error: only the code, message and identifier of the answer, or the reasons of a
//! broken connection.

use crate::{Error, ErrorKind};
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::operation::RequestId;
use std::error::Error as StdError;

pub(super) type SdkError<E> = aws_sdk_s3::error::SdkError<E, HttpResponse>;

/// The error of one operation.
pub(super) trait Answer: ProvideErrorMetadata + StdError + Send + Sync + 'static {}
impl<E: ProvideErrorMetadata + StdError + Send + Sync + 'static> Answer for E {}

/// The HTTP status, where there was an answer.
pub(super) fn status<E>(error: &SdkError<E>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

/// Whether S3 answered with this code.
pub(super) fn has_code<E: Answer>(error: &SdkError<E>, code: &str) -> bool {
    error.as_service_error().and_then(ProvideErrorMetadata::code) == Some(code)
}

/// Whether the store cannot be reached or cannot work for now: what may be over in a minute.
pub(super) fn is_away<E: Answer>(error: &SdkError<E>) -> bool {
    match error {
        SdkError::ServiceError(refusal) => matches!(refusal.raw().status().as_u16(), 429 | 500 | 502..=504),
        SdkError::TimeoutError(_) | SdkError::ResponseError(_) => true,
        SdkError::DispatchFailure(failure) => !lacks_credentials(error) && !failure.is_user(),
        _ => false,
    }
}

/// Whether this may be the answer of a store that does not know what it was asked for, a checksum's algorithm for one.
pub(super) fn may_not_know<E: Answer>(error: &SdkError<E>) -> bool {
    let codes =
        ["InvalidRequest", "InvalidArgument", "NotImplemented", "UnsupportedOperation", "MalformedXML"];
    matches!(status(error), Some(400 | 501)) && codes.iter().any(|code| has_code(error, code))
}

/// Whether a refusal may be about what an object was to be created with, and not about who asks or what was sent.
pub(super) fn may_be_about_options<E: Answer>(error: &SdkError<E>) -> bool {
    let others = [
        "AuthorizationHeaderMalformed",
        "BadDigest",
        "ExpiredToken",
        "ExpiredTokenException",
        "IllegalLocationConstraintException",
        "InvalidAccessKeyId",
        "InvalidDigest",
        "InvalidToken",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
        "XAmzContentChecksumMismatch",
    ];
    matches!(status(error), Some(400 | 403 | 501)) && !others.iter().any(|code| has_code(error, code))
}

pub(super) fn no_such_bucket() -> Error {
    Error::new(ErrorKind::NotFound, "the bucket does not exist; create it or correct its name")
}

pub(super) fn already_exists() -> Error {
    Error::new(
        ErrorKind::AlreadyExists,
        "an object is already there and must not be overwritten; choose another key or remove it",
    )
}

/// What went wrong and what to do, with the answer or the reasons as its source.
pub(super) fn describe<E: Answer>(error: &SdkError<E>) -> Error {
    match error {
        SdkError::ServiceError(refusal) => {
            let status = refusal.raw().status().as_u16();
            let region = refusal.raw().headers().get("x-amz-bucket-region").map(ToOwned::to_owned);
            let meta = refusal.err().meta();
            let code = meta.code().unwrap_or_default();
            let mut answer = format!("{status} {code}");
            if let Some(message) = meta.message() {
                answer = format!("{answer}: {message}");
            }
            if let Some(request) = refusal.err().meta().request_id() {
                answer = format!("{answer} (request {request})");
            }
            by_code(code, status, region).with_source(answer)
        }
        SdkError::TimeoutError(_) => {
            Error::new(ErrorKind::Storage, "S3 did not answer in time; check the network and the endpoint")
                .with_source(reasons(error))
        }
        _ if lacks_credentials(error) => Error::new(
            ErrorKind::Storage,
            "no AWS credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role",
        )
        .with_source(reasons(error)),
        SdkError::DispatchFailure(_) => Error::new(
            ErrorKind::Storage,
            "S3 cannot be reached; check the network, AWS_REGION and the endpoint",
        )
        .with_source(reasons(error)),
        _ => Error::new(ErrorKind::Storage, "the exchange with S3 failed").with_source(reasons(error)),
    }
}

fn by_code(code: &str, status: u16, region: Option<String>) -> Error {
    let (kind, message) = match (code, status) {
        ("NoSuchBucket", _) => return no_such_bucket(),
        ("NoSuchKey" | "NotFound", _) | ("", 404) => (ErrorKind::NotFound, "there is no such object"),
        ("NoSuchUpload", _) => (
            ErrorKind::Storage,
            "the upload was ended from outside (aborted, or expired by a lifecycle rule); start again",
        ),
        ("ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired", _) => {
            (ErrorKind::Storage, "the AWS credentials have expired; renew them")
        }
        ("InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken", _) => {
            (ErrorKind::Storage, "S3 does not accept the AWS credentials; check them")
        }
        ("RequestTimeTooSkewed", _) => (ErrorKind::Storage, "this machine's clock is wrong; set it"),
        (
            "PermanentRedirect"
            | "TemporaryRedirect"
            | "AuthorizationHeaderMalformed"
            | "IllegalLocationConstraintException",
            _,
        )
        | (_, 301 | 307) => {
            let region = region.unwrap_or_else(|| "the region of the bucket".to_owned());
            return Error::new(
                ErrorKind::Storage,
                format!("the bucket is in another region; set AWS_REGION to {region}"),
            );
        }
        ("PreconditionFailed", _) | (_, 412) => return already_exists(),
        ("ConditionalRequestConflict", _) => (
            ErrorKind::Storage,
            "another writer was completing the same object at the same time, and S3 wants a new upload after that; look \
             whether an object is there, then start again",
        ),
        ("BadDigest" | "InvalidDigest" | "XAmzContentChecksumMismatch", _) => (
            ErrorKind::Storage,
            "what has arrived is not what was sent (its checksum differs), and the store has not kept it; start again",
        ),
        ("InvalidObjectState", _) => {
            (ErrorKind::Storage, "the object is archived (Glacier); restore it in S3 first")
        }
        ("SlowDown" | "ServiceUnavailable" | "RequestLimitExceeded", _) | (_, 503) => {
            (ErrorKind::Storage, "S3 is overloaded and asks to slow down; try again later")
        }
        ("AccessDenied" | "AllAccessDisabled" | "Forbidden", _) | (_, 401 | 403) => (
            ErrorKind::Storage,
            "access was denied; allow s3:GetObject, s3:PutObject, s3:AbortMultipartUpload and s3:ListBucket there, \
             and the bucket's KMS key if it has one",
        ),
        _ => (ErrorKind::Storage, "S3 refused the request"),
    };
    Error::new(kind, message)
}

fn lacks_credentials(error: &(dyn StdError + 'static)) -> bool {
    chain(error).any(<dyn StdError>::is::<CredentialsError>)
}

/// Every level in one line; a level that repeats the one below it adds nothing.
fn reasons(error: &(dyn StdError + 'static)) -> String {
    let mut line = String::new();
    for text in chain(error).map(ToString::to_string) {
        if !line.ends_with(&text) {
            line = if line.is_empty() { text } else { format!("{line}: {text}") };
        }
    }
    line
}

fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn StdError + 'static)| (*error).source())
}
