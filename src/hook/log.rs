//! The log: one JSON object a line on standard error, where Lambda collects it.

use tracing::error;
use tracing_subscriber::EnvFilter;

/// Ours, and only warnings of the driver and the SDK. The Lambda runtime prints the function's error once more.
const FILTER: &str = "warn,mongoark=info,lambda_runtime::layers::panic=off";

/// Begins to log. `RUST_LOG` chooses what, as everywhere; without it progress, and the warnings of others.
///
/// A panic becomes a line like any other.
pub fn start_log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(FILTER));
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_span_list(false)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    std::panic::set_hook(Box::new(|panic| {
        error!(panic = %panic, "a defect of mongoark");
    }));
}
