//! Calls to AWS that did not come about.

use std::error::Error as StdError;

use aws_sdk_codedeploy::error::{ProvideErrorMetadata, SdkError};

use crate::{Error, ErrorKind};

/// One sentence for a call that did not come about: who did not do what, why, and what to change.
pub(super) fn refusal<E>(service: &str, action: &str, permission: &str, error: &SdkError<E>) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let message = match error {
        SdkError::ServiceError(refused) => {
            let code = refused.err().code().unwrap_or("no reason given");
            let reason = refused.err().message().map(|text| format!(": {text}")).unwrap_or_default();
            let advice = if code.starts_with("AccessDenied") || code == "UnauthorizedOperation" {
                format!("; allow {permission} in the function's role")
            } else {
                String::new()
            };
            format!("{service} did not {action} ({code}{reason}){advice}")
        }
        SdkError::TimeoutError(_) => not_reached(service, action, "no answer in time"),
        SdkError::DispatchFailure(failure) if failure.is_timeout() || failure.is_io() => {
            let reason = failure.as_connector_error().map_or_else(String::new, |error| root_cause(error));
            not_reached(service, action, &reason)
        }
        other => format!("{service} was not asked to {action}: {}", root_cause(other)),
    };
    Error::new(ErrorKind::Service, message)
}

fn not_reached(service: &str, action: &str, reason: &str) -> String {
    format!(
        "{service} could not be reached to {action} ({reason}); a function in a VPC needs an interface endpoint for \
         {service} or a NAT gateway, and a security group that lets HTTPS through"
    )
}

fn root_cause(error: &(dyn StdError + 'static)) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
