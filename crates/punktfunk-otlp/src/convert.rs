//! Snapshots become OTLP requests, every point stamped with the moment that the snapshot stands for.

use std::time::SystemTime;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::{DataPointFlags, metric::Data};
use opentelemetry_proto::tonic::resource::v1::Resource;
use punktfunk_stats::MetricSnapshot;

/// Converts the snapshots of one capture after another.
#[derive(Debug)]
pub(crate) struct Converter {
    resource: Resource,
    /// The capture of the last snapshot, and when its series began.
    capture: Option<(String, u64)>,
}

impl Converter {
    pub(crate) fn new(resource: Resource) -> Self {
        Self { resource, capture: None }
    }

    /// The request for a snapshot. All series of a capture share one start: the earliest that the collector gave in the
    /// first snapshot, and never later than that snapshot itself, whatever the wall clock did meanwhile.
    pub(crate) fn convert(&mut self, snapshot: &MetricSnapshot) -> ExportMetricsServiceRequest {
        let mut request = ExportMetricsServiceRequest::from(&snapshot.metrics);
        let at = nanos(snapshot.at);
        let start = match &self.capture {
            Some((id, start)) if *id == snapshot.capture_id => *start,
            _ => {
                let mut earliest = at;
                each_point(&mut request, |point| {
                    if *point.start != 0 {
                        earliest = earliest.min(*point.start);
                    }
                });
                self.capture = Some((snapshot.capture_id.clone(), earliest));
                earliest
            }
        };
        each_point(&mut request, |point| {
            // A gauge has no start: its value stands for itself.
            *point.start = if point.cumulative { start.min(at) } else { 0 };
            *point.time = at;
        });
        for resource in &mut request.resource_metrics {
            resource.resource = Some(self.resource.clone());
        }
        request
    }
}

/// Turns the last request of a capture into the one that ends its series: the same points, marked as without a value.
pub(crate) fn end(mut request: ExportMetricsServiceRequest, at: SystemTime) -> ExportMetricsServiceRequest {
    let at = nanos(at);
    each_point(&mut request, |point| {
        *point.time = at;
        *point.flags |= DataPointFlags::NoRecordedValueMask as u32;
    });
    request
}

/// What every kind of data point has.
struct Point<'a> {
    start: &'a mut u64,
    time: &'a mut u64,
    flags: &'a mut u32,
    cumulative: bool,
}

fn each_point(request: &mut ExportMetricsServiceRequest, mut visit: impl FnMut(Point<'_>)) {
    let scopes = request.resource_metrics.iter_mut().flat_map(|resource| &mut resource.scope_metrics);
    for data in scopes.flat_map(|scope| &mut scope.metrics).filter_map(|metric| metric.data.as_mut()) {
        macro_rules! visit_all {
            ($points:expr, $cumulative:expr) => {
                for point in $points {
                    visit(Point {
                        start: &mut point.start_time_unix_nano,
                        time: &mut point.time_unix_nano,
                        flags: &mut point.flags,
                        cumulative: $cumulative,
                    });
                }
            };
        }
        match data {
            Data::Gauge(gauge) => visit_all!(&mut gauge.data_points, false),
            Data::Sum(sum) => visit_all!(&mut sum.data_points, true),
            Data::Histogram(histogram) => visit_all!(&mut histogram.data_points, true),
            Data::ExponentialHistogram(histogram) => visit_all!(&mut histogram.data_points, true),
            Data::Summary(summary) => visit_all!(&mut summary.data_points, true),
        }
    }
}

/// Data points of a request.
pub(crate) fn points(request: &ExportMetricsServiceRequest) -> u64 {
    let scopes = request.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics);
    let data = scopes.flat_map(|scope| &scope.metrics).filter_map(|metric| metric.data.as_ref());
    let count: usize = data
        .map(|data| match data {
            Data::Gauge(gauge) => gauge.data_points.len(),
            Data::Sum(sum) => sum.data_points.len(),
            Data::Histogram(histogram) => histogram.data_points.len(),
            Data::ExponentialHistogram(histogram) => histogram.data_points.len(),
            Data::Summary(summary) => summary.data_points.len(),
        })
        .sum();
    // A count of things in memory fits.
    count as u64
}

/// Nanoseconds since 1970, as OTLP counts; 0 before it, the largest number after the year 2554.
fn nanos(at: SystemTime) -> u64 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
