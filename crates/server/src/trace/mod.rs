//! Where a request's time went, for whoever runs many services: W3C trace context, and spans for OpenTelemetry.
//!
//! ```text
//! context (what came with the request) -> sampler (is it recorded?) -> span (what its stations noted) -> otlp -> export
//! ```
//!
//! INVARIANT: a [`Span`] can hold nothing that a client sent, except the 16 bytes of its trace's id: its fields are numbers,
//! words of this program and ids of regions. So neither a log nor a receiver of spans can learn a subject, a path, a query, an
//! address or a header from it.

mod context;
mod export;
mod otlp;
mod sampler;
mod settings;
mod span;

pub use context::{Ids, Incoming, SpanId, State, TraceId};
pub use export::{Ending, Exporter, SpanCounts};
pub use sampler::Sampler;
pub use settings::{ExportSettings, Read};
pub use span::{Route, Span, method_word, version_word};

/// Which trace a request belongs to: <https://www.w3.org/TR/trace-context/>, the recommendation of 23 November 2021.
pub const TRACEPARENT: http::HeaderName = http::HeaderName::from_static("traceparent");
/// What tracing systems add of their own.
pub const TRACESTATE: http::HeaderName = http::HeaderName::from_static("tracestate");
