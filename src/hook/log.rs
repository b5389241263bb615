//! The log: one JSON object a line on standard error, where Lambda collects it.

use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata, Subscriber, error};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

/// Ours, and only warnings of the driver and the SDK. The Lambda runtime prints the function's error once more.
const FILTER: &str = "warn,mongoark=info,lambda_runtime::layers::panic=off";

/// Whose lines are ours, by the first part of their target.
const OURS: &str = "mongoark";

/// The most that is ever heard of others: from the next level on, the SDK writes requests and answers into the log, and the
/// answer of Secrets Manager is the connection string.
const MOST_OF_OTHERS: Level = Level::WARN;

/// Begins to log. `RUST_LOG` chooses what, as everywhere, but of others' lines never more than warnings; without it
/// progress, and the warnings of others.
///
/// A panic becomes a line like any other.
pub fn start_log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(FILTER));
    log(filter, std::io::stderr).init();
    std::panic::set_hook(Box::new(|panic| {
        error!(panic = crate::panic::told(panic), "a defect of mongoark");
    }));
}

fn log<W>(filter: EnvFilter, writer: W) -> impl Subscriber
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_span_list(false)
        .with_writer(writer)
        .with_filter(filter_fn(is_harmless));
    tracing_subscriber::registry().with(filter).with(lines)
}

fn is_harmless(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    let ours = target.split("::").next() == Some(OURS);
    ours || *metadata.level() <= LevelFilter::from_level(MOST_OF_OTHERS)
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use tracing::{debug, error, trace, trace_span, warn};

    use super::*;

    #[derive(Clone, Debug, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn whatever_is_asked_for_others_say_no_more_than_warnings() {
        for asked in
            ["trace", "aws_smithy_runtime=trace,mongoark=trace", "aws_smithy_runtime::client=trace,trace"]
        {
            let lines = Lines::default();
            let writer = lines.clone();
            let subscriber = log(EnvFilter::new(asked), move || writer.clone());
            tracing::subscriber::with_default(subscriber, || {
                let span = trace_span!(target: "aws_smithy_runtime", "invoke", answer = "hunter2");
                let _entered = span.enter();
                trace!(target: "aws_smithy_runtime::client", answer = "hunter2", "received");
                debug!(target: "aws_smithy_runtime::client", answer = "hunter2", "received");
                trace!(target: "mongoarkish", "hunter2");
                warn!(target: "aws_smithy_runtime::client", "a warning");
                trace!(target: "mongoark::hook", "a trace");
                error!(target: "mongoark", "an error");
            });
            let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
            assert!(!text.contains("hunter2"), "{text}");
            for said in ["a warning", "a trace", "an error"] {
                assert!(text.contains(said), "{said}: {text}");
            }
        }
    }
}
