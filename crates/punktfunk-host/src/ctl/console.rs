//! `ctl console`: a link for a browser, as text and as a QR code of half blocks for a phone's camera.

use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use serde::Deserialize;

use super::CtlError;

/// What the API says of a link.
#[derive(Debug, Deserialize)]
pub(super) struct Link {
    url: String,
    expires_in_s: u64,
    this_machine_only: bool,
}

/// What a person reads of it.
pub(super) fn text(link: &Link, qr: bool) -> Result<String, CtlError> {
    let mut text = String::new();
    if qr {
        let code = QrCode::new(&link.url).map_err(|error| CtlError::Answer(error.to_string()))?;
        // Most terminals are dark: swapped, what is lit is what a camera takes for paper.
        let drawn = code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build();
        text.push_str(&format!("{drawn}\n"));
    }
    text.push_str(&format!("  {}\n", link.url));
    text.push_str(&format!("  signs one browser in, once, within {} minutes\n", link.expires_in_s / 60));
    if link.this_machine_only {
        text.push_str("  the host listens on this machine only: for a phone, set mgmt.bind to 0.0.0.0:47990\n");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_shown_with_its_code_and_where_it_works() {
        let link = Link { url: "http://127.0.0.1:1/#signin=0".into(), expires_in_s: 600, this_machine_only: true };
        let plain = text(&link, false).unwrap();
        assert!(plain.contains(&link.url) && plain.contains("10 minutes") && plain.contains("mgmt.bind"), "{plain}");
        let code = text(&link, true).unwrap();
        assert!(code.ends_with(&plain) && code.lines().filter(|line| line.contains('█')).count() > 10, "{code}");
    }
}
