//! The OpenAPI 3.1 document: what the routes declare, completed by what holds for all of them.

use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{Schema, SchemaType, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, PathItem, Ref, RefOr,
    ResponseBuilder, ServerBuilder,
};

/// Refusals that any route may answer with: status, name, when.
const REFUSALS: [(&str, &str, &str); 12] = [
    ("400", "BadRequest", "The request is malformed: its query, a header, or its JSON"),
    ("401", "Unauthorized", "No valid token was sent, and no session"),
    (
        "403",
        "Forbidden",
        "The token opens `/metrics` and remote read only, or all but remote read; or a change by a session lacks its CSRF token, or another origin asks",
    ),
    ("404", "NotFound", "There is nothing of this id"),
    ("408", "Timeout", "The body took too long to arrive"),
    ("413", "TooLarge", "The body is larger than 128 KiB, or 256 MiB for a recording"),
    ("415", "NotJson", "The body is not `application/json`"),
    ("421", "Misdirected", "`Host` is neither an address of this host nor in `allowed_hosts`"),
    ("422", "Unprocessable", "The JSON has another shape: a wrong type, an unknown field, a value out of its limits"),
    ("431", "HeadersTooLarge", "The header fields are larger than 16 KiB, or more than 64"),
    ("500", "Failed", "The host failed to answer; the message or its log says why"),
    ("503", "Unavailable", "The host is shutting down, too busy, or did not answer in time"),
];

/// The document without routes.
pub(crate) fn frame() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Punktfunk management API")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Arms performance captures of a game-streaming host, shows them live, and keeps them as recordings.\n\n\
             Every request but `GET /api/v1/health` carries a bearer token from the host's configuration directory: \
             `mgmt-token` for everything, `read-token` for `/metrics` and remote read. A browser may hold a session instead, by a cookie \
             that `POST /api/v1/auth/session` sets; its changes carry `X-CSRF-Token`. Whatever is not a success has the body \
             `{\"error\": \"<message>\"}`. Durations end in their unit (`_us`, `_ms`, `_s`); a figure that cannot be \
             measured is `null`, never 0.",
        ))
        .license(Some(LicenseBuilder::new().name("MIT OR Apache-2.0").identifier(Some("MIT OR Apache-2.0")).build()))
        .build();
    let scheme = |description: &str| {
        let mut http = Http::new(HttpAuthScheme::Bearer);
        http.description = Some(description.to_owned());
        SecurityScheme::Http(http)
    };
    let mut components = ComponentsBuilder::new()
        .security_scheme("operator", scheme("The token in `mgmt-token`: everything"))
        .security_scheme("reader", scheme("The token in `read-token`: `/metrics` and remote read"))
        .security_scheme(
            "session",
            SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::with_description(
                "punktfunk-47990",
                "The cookie that `POST /api/v1/auth/session` sets; its name ends in the port, and begins with `__Host-` \
                 under TLS. A change also needs `X-CSRF-Token`",
            ))),
        )
        .schema_from::<crate::ErrorBody>();
    for (_, name, when) in REFUSALS {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("ErrorBody"))).build();
        let mut response = ResponseBuilder::new().description(when).content("application/json", content);
        if name == "Unauthorized" {
            let mut challenge = utoipa::openapi::Header::default();
            challenge.description = Some("`Bearer`".to_owned());
            response = response.header("WWW-Authenticate", challenge);
        }
        components = components.response(name, response.build());
    }
    let tag = |name: &str, description: &str| TagBuilder::new().name(name).description(Some(description)).build();
    OpenApiBuilder::new()
        .info(info)
        .servers(Some([ServerBuilder::new().url("/").description(Some("The host that serves this document")).build()]))
        .components(Some(components.build()))
        .security(Some([requirement("operator"), requirement("session")]))
        .tags(Some([
            tag("stats", "Captures and recordings"),
            tag("clients", "Paired clients and pairing"),
            tag("auth", "Browsers that sign in"),
            tag("host", "The host itself"),
        ]))
        .build()
}

/// The whole document, as `GET /api/v1/openapi.json` and the command `openapi` give it.
pub fn openapi() -> OpenApi {
    let mut document = crate::routes::documented().into_openapi();
    for item in document.paths.paths.values_mut() {
        for operation in operations(item) {
            complete(operation);
        }
    }
    document
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, patch, delete, .. } = item;
    [get, put, post, patch, delete].into_iter().flatten()
}

/// Adds the refusals that follow from what an operation takes and who may call it.
fn complete(operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter {
            parameter.schema = parameter.schema.take().map(without_null);
        }
    }
    let public = operation.security.as_ref().is_some_and(|security| *security == [SecurityRequirement::default()]);
    let operator_only = operation.security.is_none();
    let body = operation.request_body.is_some();
    let has = |place: &str| {
        operation.parameters.iter().flatten().any(|parameter| match parameter {
            RefOr::T(parameter) => serde_json::to_value(&parameter.parameter_in).is_ok_and(|value| value == place),
            RefOr::Ref(_) => false,
        })
    };
    let (path, parameters) = (has("path"), has("query") || has("header"));
    for (status, name, _) in REFUSALS {
        let applies = match name {
            "BadRequest" => body || parameters,
            "Unauthorized" => !public,
            "Forbidden" => operator_only,
            "NotFound" => path,
            "Timeout" | "TooLarge" | "NotJson" | "Unprocessable" => body,
            _ => true,
        };
        if applies {
            let reference = || RefOr::Ref(Ref::from_response_name(name));
            operation.responses.responses.entry(status.to_owned()).or_insert_with(reference);
        }
    }
}

/// A parameter is there or left out; text cannot be `null`.
fn without_null(schema: RefOr<Schema>) -> RefOr<Schema> {
    let RefOr::T(Schema::Object(mut object)) = schema else { return schema };
    if let SchemaType::Array(types) = &mut object.schema_type {
        types.retain(|of| *of != Type::Null);
        if let [only] = types.as_slice() {
            object.schema_type = SchemaType::Type(only.clone());
        }
    }
    RefOr::T(Schema::Object(object))
}

fn requirement(scheme: &str) -> SecurityRequirement {
    SecurityRequirement::new(scheme, Vec::<String>::new())
}
