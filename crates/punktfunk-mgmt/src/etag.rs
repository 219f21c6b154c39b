//! Entity tags: the revision of a recording's file, in quotes.
//!
//! A tag names the state of a recording, not the bytes of one answer. So tags are compared without regard to `W/`, in
//! `If-Match` too: a compressed answer's tag is weak, and is as good for an edit.

use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use punktfunk_recordings::Revision;

use crate::error::ApiError;

/// What `If-Match` asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// No header, or `*`: whatever is there.
    Any,
    /// One of these; none of them is ours if it is empty.
    OneOf(Vec<Revision>),
}

/// The tag of a revision.
pub(crate) fn of(revision: &Revision) -> String {
    format!("\"{revision}\"")
}

/// Reads `If-Match`.
///
/// # Errors
/// 412 if it is no list of entity tags: it matches nothing, and an edit that was meant to be guarded must not run unguarded.
pub(crate) fn if_match(headers: &HeaderMap) -> Result<Condition, ApiError> {
    if !headers.contains_key(header::IF_MATCH) {
        return Ok(Condition::Any);
    }
    let no_tags =
        || ApiError::new(StatusCode::PRECONDITION_FAILED, "`If-Match` is `*`, or entity tags in double quotes");
    match tags(headers, &header::IF_MATCH).ok_or_else(no_tags)? {
        Tags::Any => Ok(Condition::Any),
        Tags::These(revisions) => Ok(Condition::OneOf(revisions)),
    }
}

/// Reads `If-None-Match`; what is no list of tags matches nothing, which costs the caller a transfer only.
pub(crate) fn none_match(headers: &HeaderMap) -> Vec<Revision> {
    match tags(headers, &header::IF_NONE_MATCH) {
        Some(Tags::These(revisions)) => revisions,
        Some(Tags::Any) | None => Vec::new(),
    }
}

enum Tags {
    Any,
    These(Vec<Revision>),
}

/// A list of entity tags (RFC 9110, section 8.8.3); those that are not ours are left out. `None` if it is none.
fn tags(headers: &HeaderMap, name: &HeaderName) -> Option<Tags> {
    let mut revisions = Vec::new();
    let (mut elements, mut any) = (0, false);
    for value in headers.get_all(name) {
        let mut rest = value.to_str().ok()?.trim_start();
        while !rest.is_empty() {
            if let Some(behind) = rest.strip_prefix('*') {
                any = true;
                rest = behind;
            } else {
                let quoted = rest.strip_prefix("W/").unwrap_or(rest);
                let (opaque, behind) = quoted.strip_prefix('"')?.split_once('"')?;
                revisions.extend(opaque.parse::<Revision>());
                rest = behind;
            }
            elements += 1;
            rest = rest.trim_start();
            if !rest.is_empty() {
                rest = rest.strip_prefix(',')?.trim_start();
            }
        }
    }
    match elements {
        0 => None,
        _ if any => Some(Tags::Any),
        _ => Some(Tags::These(revisions)),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn condition(value: &str) -> Result<Condition, StatusCode> {
        let mut headers = HeaderMap::new();
        headers.insert(header::IF_MATCH, HeaderValue::from_str(value).unwrap());
        if_match(&headers).map_err(|error| error.status())
    }

    #[test]
    fn weak_and_strong_tags_name_the_same_state() {
        let revision: Revision = "17c0ffee-2a".parse().unwrap();
        assert_eq!(condition(&of(&revision)), Ok(Condition::OneOf(vec![revision])));
        assert_eq!(condition(&format!("\"other\" , W/{}", of(&revision))), Ok(Condition::OneOf(vec![revision])));
        assert_eq!(condition("*"), Ok(Condition::Any));
        assert_eq!(if_match(&HeaderMap::new()).unwrap(), Condition::Any);
    }

    #[test]
    fn a_guard_that_cannot_be_read_is_refused() {
        for bad in ["", "17c0ffee-2a", "\"open", "\"a\"b\"", "\"", "W/", "*x"] {
            assert_eq!(condition(bad), Err(StatusCode::PRECONDITION_FAILED), "{bad}");
        }
        for foreign in ["\"someone-else's\"", "\"a,b\"", "\"\"", "W/\"x\", \"y\""] {
            assert_eq!(condition(foreign), Ok(Condition::OneOf(Vec::new())), "{foreign}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_guard_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60), tags in "[W/\"a-f0-9,*-]{0,40}") {
            for value in [bytes, tags.into_bytes()] {
                let Ok(value) = HeaderValue::from_bytes(&value) else { continue };
                let mut headers = HeaderMap::new();
                headers.insert(header::IF_MATCH, value.clone());
                headers.insert(header::IF_NONE_MATCH, value);
                match if_match(&headers) {
                    // Both read the same list.
                    Ok(Condition::OneOf(revisions)) => prop_assert_eq!(revisions, none_match(&headers)),
                    Ok(Condition::Any) => prop_assert_eq!(none_match(&headers), []),
                    Err(error) => {
                        prop_assert_eq!(error.status(), StatusCode::PRECONDITION_FAILED);
                        prop_assert_eq!(none_match(&headers), []);
                    }
                }
            }
        }
    }
}
