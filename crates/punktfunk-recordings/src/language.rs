//! The languages in which people are told what a recording says.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A language. What is a name in the API, such as a stage, is the same in all of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum Language {
    /// English.
    #[default]
    #[serde(rename = "en")]
    English,
    /// German.
    #[serde(rename = "de")]
    German,
}

/// No language that there is.
#[derive(Debug, thiserror::Error)]
#[error("the languages are `en` and `de`")]
pub struct InvalidLanguage;

impl Language {
    /// The same text in this language.
    pub(crate) fn of<'a>(self, english: &'a str, german: &'a str) -> &'a str {
        match self {
            Self::English => english,
            Self::German => german,
        }
    }

    /// A number with so many decimals, a true minus before it if it is negative.
    pub(crate) fn decimal(self, value: f64, digits: usize) -> String {
        self.number(&format!("{value:.digits$}"))
    }

    /// A number that is written with a point.
    pub(crate) fn number(self, text: &str) -> String {
        text.replace('-', "−").replace('.', self.of(".", ","))
    }
}

/// The tag by which HTML and HTTP know it (BCP 47).
impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.of("en", "de"))
    }
}

impl FromStr for Language {
    type Err = InvalidLanguage;

    fn from_str(tag: &str) -> Result<Self, InvalidLanguage> {
        [Self::English, Self::German].into_iter().find(|known| known.to_string() == tag).ok_or(InvalidLanguage)
    }
}
