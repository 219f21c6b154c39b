//! Who exports: the resource that stands over every request.

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;

use crate::config::Resolved;

/// `service.name` unless the environment gives another.
const SERVICE_NAME: &str = "punktfunk";

/// What the host knows of itself. It wins over the environment, so that `service.instance.id` is always the `host.id` of
/// the data points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Stable id of the installation: `service.instance.id`.
    pub host_id: String,
    /// Version of the host: `service.version`.
    pub version: String,
}

impl Identity {
    /// Every attribute of the resource, each name once, in a stable order.
    pub(crate) fn attributes(&self, resolved: &Resolved) -> Vec<(String, String)> {
        let own = [
            ("service.instance.id".to_owned(), self.host_id.clone()),
            ("service.version".to_owned(), self.version.clone()),
        ];
        let default = ("service.name".to_owned(), SERVICE_NAME.to_owned());
        let mut attributes: Vec<(String, String)> = Vec::new();
        // The later wins.
        for (name, value) in [default].into_iter().chain(resolved.attributes.iter().cloned()).chain(own) {
            match attributes.iter_mut().find(|(known, _)| *known == name) {
                Some(known) => known.1 = value,
                None => attributes.push((name, value)),
            }
        }
        attributes
    }

    pub(crate) fn resource(&self, resolved: &Resolved) -> Resource {
        let attributes = self.attributes(resolved).into_iter().map(|(key, value)| KeyValue {
            key,
            value: Some(AnyValue { value: Some(any_value::Value::StringValue(value)) }),
            ..KeyValue::default()
        });
        Resource { attributes: attributes.collect(), ..Resource::default() }
    }

    /// The same, as the SDK keeps it.
    pub(crate) fn sdk_resource(&self, resolved: &Resolved) -> opentelemetry_sdk::Resource {
        let attributes =
            self.attributes(resolved).into_iter().map(|(key, value)| opentelemetry::KeyValue::new(key, value));
        opentelemetry_sdk::Resource::builder_empty().with_attributes(attributes).build()
    }
}
