//! What is checked before the router sees a request: the size of its head, and by which name it was addressed. Also counts
//! every answer, and sees that there is one in time.

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tower_service::Service as _;

use crate::error::ApiError;
use crate::hosts::Hosts;
use crate::limits::ConnectionLimits;
use crate::metrics::RequestCounts;
use crate::served::Served;

pub(super) struct Gate {
    pub(super) hosts: Hosts,
    pub(super) limits: ConnectionLimits,
    pub(super) requests: RequestCounts,
    pub(super) served: Served,
    pub(super) router: axum::Router,
}

impl Gate {
    pub(super) async fn answer(&self, request: Request) -> Response {
        let response = match self.check(&request) {
            Ok(()) => self.route(request).await,
            Err(error) => error.into_response(),
        };
        self.requests.count(response.status().as_u16());
        response
    }

    fn check(&self, request: &Request) -> Result<(), ApiError> {
        let ConnectionLimits { header_bytes, headers: most, uri_bytes, .. } = self.limits;
        let (uri, headers) = (request.uri(), request.headers());
        if uri.path_and_query().map_or(0, |path| path.as_str().len()) > uri_bytes {
            let message = format!("the address has more than {uri_bytes} bytes");
            return Err(ApiError::new(StatusCode::URI_TOO_LONG, message));
        }
        let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        if bytes > header_bytes || headers.len() > most {
            let message = format!("the header fields have more than {header_bytes} bytes, or are more than {most}");
            return Err(ApiError::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, message));
        }
        self.hosts.check(uri, headers)
    }

    async fn route(&self, mut request: Request) -> Response {
        request.extensions_mut().insert(self.served);
        // A router without missing state is always ready.
        let answer = self.router.clone().call(request);
        match tokio::time::timeout(self.limits.request_timeout, answer).await {
            Ok(Ok(response)) => response,
            Ok(Err(never)) => match never {},
            Err(_) => {
                let message = "the host did not answer in time; what was asked for may still happen";
                ApiError::new(StatusCode::SERVICE_UNAVAILABLE, message).into_response()
            }
        }
    }
}
