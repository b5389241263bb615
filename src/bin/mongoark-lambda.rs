//! `mongoark-lambda`: the Lambda function. See [`mongoark::hook`].

use std::sync::Arc;

use lambda_runtime::{LambdaEvent, service_fn};
use mongoark::hook::{self, Aws};

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
    if std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_none() {
        return Err(
            "this program runs as a Lambda function only: deploy it, or run it under `cargo lambda watch`; \
                    the command line tool is mongoark"
                .into(),
        );
    }
    hook::start_log();
    let services = Arc::new(Aws::from_env().await);
    lambda_runtime::run(service_fn(|event: LambdaEvent<serde_json::Value>| hook::handle(&services, event)))
        .await
}
