//! Label matchers of a query, compiled within bounds: a stranger's regular expression costs what we say, not what it says.

use regex::{Regex, RegexBuilder};

use super::ReadError;
use super::wire::{LabelMatcher, MatcherType};

/// Longest value of a matcher, bytes. Grafana joins the values of a variable with several by `|`.
const MAX_VALUE: usize = 16 << 10;

/// Most memory of one compiled expression, bytes. A counted repetition of a repetition reaches it at once.
const MAX_REGEX: usize = 1 << 20;

/// Deepest nesting of an expression.
const MAX_NESTING: u32 = 50;

/// One condition on a label; a label that is not there is empty, as PromQL sees it.
#[derive(Debug)]
pub(super) struct Matcher {
    name: String,
    condition: Condition,
}

#[derive(Debug)]
enum Condition {
    Equal(String),
    NotEqual(String),
    Regex(Regex),
    NotRegex(Regex),
}

impl Matcher {
    /// # Errors
    /// [`ReadError::Matcher`] says what cannot be compiled.
    pub(super) fn new(wire: LabelMatcher) -> Result<Self, ReadError> {
        let LabelMatcher { kind, name, value } = wire;
        let refused = |reason: String| ReadError::Matcher { label: name.chars().take(64).collect(), reason };
        if value.len() > MAX_VALUE {
            return Err(refused(format!("it has more than {MAX_VALUE} bytes")));
        }
        let kind = MatcherType::try_from(kind).map_err(|_| refused(format!("its type {kind} is not known")))?;
        let condition = match kind {
            MatcherType::Equal => Condition::Equal(value),
            MatcherType::NotEqual => Condition::NotEqual(value),
            MatcherType::Regex => Condition::Regex(regex(&value).map_err(refused)?),
            MatcherType::NotRegex => Condition::NotRegex(regex(&value).map_err(refused)?),
        };
        Ok(Self { name, condition })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn matches(&self, value: &str) -> bool {
        match &self.condition {
            Condition::Equal(wanted) => value == wanted,
            Condition::NotEqual(other) => value != other,
            Condition::Regex(regex) => regex.is_match(value),
            Condition::NotRegex(regex) => !regex.is_match(value),
        }
    }

    /// The only value that it lets through, if there is only one.
    pub(super) fn only(&self) -> Option<&str> {
        match &self.condition {
            Condition::Equal(value) => Some(value),
            _ => None,
        }
    }
}

/// Anchored at both ends, and `.` takes a line feed, as in PromQL.
fn regex(value: &str) -> Result<Regex, String> {
    let compile = |pattern: &str| {
        let mut builder = RegexBuilder::new(pattern);
        builder.size_limit(MAX_REGEX).dfa_size_limit(MAX_REGEX).nest_limit(MAX_NESTING);
        builder.build().map_err(|error| match error {
            regex::Error::CompiledTooBig(limit) => format!("the expression needs more than {limit} bytes"),
            error => error.to_string().lines().last().unwrap_or_default().trim().chars().take(200).collect(),
        })
    };
    // On its own first: `a)|(b` would be two expressions between our parentheses.
    compile(value)?;
    compile(&format!(r"\A(?s:{value})\z"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matcher(kind: MatcherType, value: &str) -> Result<Matcher, ReadError> {
        Matcher::new(LabelMatcher { kind: kind as i32, name: "stage".to_owned(), value: value.to_owned() })
    }

    #[test]
    fn matchers_are_anchored_and_a_missing_label_is_empty() {
        let encode = matcher(MatcherType::Regex, "enc.*|send").unwrap();
        assert!(encode.matches("encode") && encode.matches("send") && encode.matches("enc\n"));
        assert!(!encode.matches("an encode") && !encode.matches("sender") && !encode.matches(""));
        assert!(matcher(MatcherType::NotRegex, ".+").unwrap().matches(""));
        assert!(matcher(MatcherType::NotEqual, "x").unwrap().matches(""));
        assert_eq!(matcher(MatcherType::Equal, "x").unwrap().only(), Some("x"));
    }

    #[test]
    fn an_expression_that_costs_too_much_or_is_none_is_refused() {
        let deep = "(".repeat(200) + &")".repeat(200);
        for bomb in ["(((a{1000}){1000}){1000})", "a)|(b", "(", &deep, &"x".repeat(20_000), r"\p{L}{1000}"] {
            assert!(matcher(MatcherType::Regex, bomb).is_err(), "{}", &bomb[..bomb.len().min(40)]);
        }
    }

    proptest! {
        #[test]
        fn any_expression_is_compiled_or_refused(pattern in ".{0,60}", value in ".{0,40}") {
            if let Ok(matcher) = matcher(MatcherType::Regex, &pattern) {
                matcher.matches(&value);
            }
        }
    }
}
