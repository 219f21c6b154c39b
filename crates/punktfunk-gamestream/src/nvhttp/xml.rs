//! Replies of the protocol: one flat element with its status as attributes. HTTP's own status is 200 unless HTTP itself is
//! what failed: stock clients read this one.

use std::fmt::Write as _;

/// A reply under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    status: u16,
    message: String,
    body: String,
}

impl Reply {
    /// What was asked for was done.
    pub(super) fn ok() -> Self {
        Self { status: 200, message: "OK".to_owned(), body: String::new() }
    }

    /// It was not, and a person may read why.
    pub(super) fn refused(status: u16, message: &str) -> Self {
        Self { status, message: message.to_owned(), body: String::new() }
    }

    /// One element more. `name` is ours, `value` may be a stranger's.
    pub(super) fn with(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        write!(self.body, "<{name}>{}</{name}>", escape(&value.to_string())).expect("a string takes everything");
        self
    }

    /// An element with elements in it.
    pub(super) fn group(mut self, name: &str, inner: Self) -> Self {
        write!(self.body, "<{name}>{}</{name}>", inner.body).expect("a string takes everything");
        self
    }

    /// The document.
    pub(super) fn document(&self) -> String {
        let Self { status, message, body } = self;
        let message = escape(message);
        format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<root status_code=\"{status}\" status_message=\"{message}\">{body}</root>\n"
        )
    }
}

fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, letter| {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            letter if letter.is_control() => {}
            letter => out.push(letter),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stranger_wrote_stays_text() {
        let reply = Reply::ok().with("name", "<b>&\"\u{1b}").group("App", Reply::ok().with("ID", 1));
        assert!(reply.document().ends_with("<name>&lt;b&gt;&amp;&quot;</name><App><ID>1</ID></App></root>\n"));
        assert!(
            Reply::refused(503, "a \"busy\" host")
                .document()
                .contains(r#"status_code="503" status_message="a &quot;busy"#)
        );
    }
}
