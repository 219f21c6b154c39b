//! Embeds what browsers load: the console (`web/dist`) and the API's documentation page (`docs`, with Swagger UI's files).
//!
//! Both are built by `scripts/console`, which needs Node. What is not there is left out, and the host says so where it would
//! have been: it builds without Node. Texts are compressed here, once, so that serving them costs nothing.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hasher as _};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// What Swagger UI needs of its package, and the names that it is served by. Its licences go with it.
const SWAGGER_UI: [(&str, &str); 5] = [
    ("swagger-ui.css", "swagger-ui.css"),
    ("swagger-ui-bundle.js", "swagger-ui-bundle.js"),
    ("swagger-ui-bundle.js.LICENSE.txt", "swagger-ui-bundle.js.LICENSE.txt"),
    ("LICENSE", "LICENSE.txt"),
    ("NOTICE", "NOTICE.txt"),
];

fn main() -> io::Result<()> {
    let here = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where the crate is"));
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo says where to write"));
    let mut files = BTreeMap::new();

    let dist = here.join("../../web/dist");
    watch(&dist);
    collect(&dist, "", &mut files)?;

    let package = here.join("docs/node_modules/swagger-ui-dist");
    watch(&package);
    if SWAGGER_UI.iter().all(|(source, _)| package.join(source).is_file()) {
        files.extend(SWAGGER_UI.map(|(source, name)| (format!("docs/{name}"), package.join(source))));
        for name in ["index.html", "docs.css", "docs.js"] {
            println!("cargo::rerun-if-changed={}", here.join("docs").join(name).display());
            files.insert(format!("docs/{name}"), here.join("docs").join(name));
        }
    }
    println!("cargo::rerun-if-changed=build.rs");

    let mut table = String::from("&[\n");
    for (at, (path, source)) in files.iter().enumerate() {
        let Some((kind, text)) = kind(path) else { continue };
        let plain = fs::read(source)?;
        let mut hasher = DefaultHasher::new();
        hasher.write(&plain);
        let tag = format!("\"{:016x}\"", hasher.finish());
        let keep = |ending: &str, bytes: &[u8]| -> io::Result<String> {
            let kept = out.join(format!("{at}.{ending}"));
            fs::write(&kept, bytes)?;
            Ok(format!("include_bytes!({kept:?})"))
        };
        let smaller = |ending: &str, bytes: Vec<u8>| -> io::Result<String> {
            // Less than a tenth is not worth unpacking.
            if text && bytes.len() < plain.len() - plain.len() / 10 {
                Ok(format!("Some({})", keep(ending, &bytes)?))
            } else {
                Ok("None".to_owned())
            }
        };
        let (gzip, brotli) = if text { (gzip(&plain)?, brotli(&plain)?) } else { (Vec::new(), Vec::new()) };
        let (gzip, brotli, plain) = (smaller("gz", gzip)?, smaller("br", brotli)?, keep("plain", &plain)?);
        table.push_str(&format!(
            "    File {{ path: {path:?}, kind: {kind:?}, tag: {tag:?}, plain: {plain}, gzip: {gzip}, brotli: {brotli} }},\n"
        ));
    }
    table.push_str("]\n");
    fs::write(out.join("console.rs"), table)
}

/// Runs again when something below `directory` changes. It is made if need be: cargo takes a path that is not there for one
/// that has changed, and would build the crate anew each time.
fn watch(directory: &Path) {
    // In a tree that cannot be written to nothing will appear, either.
    if fs::create_dir_all(directory).is_ok() {
        println!("cargo::rerun-if-changed={}", directory.display());
    }
}

/// Files below `directory`, by their path from there.
fn collect(directory: &Path, prefix: &str, files: &mut BTreeMap<String, PathBuf>) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let path = format!("{prefix}{name}");
        if name.starts_with('.') {
            continue;
        } else if entry.file_type()?.is_dir() {
            collect(&entry.path(), &format!("{path}/"), files)?;
        } else {
            files.insert(path, entry.path());
        }
    }
    Ok(())
}

/// Media type, and whether it is worth compressing; `None` for what is not served, maps of sources among it.
fn kind(path: &str) -> Option<(&'static str, bool)> {
    let (_, ending) = path.rsplit_once('.')?;
    Some(match ending {
        "html" => ("text/html; charset=utf-8", true),
        "js" | "mjs" => ("text/javascript; charset=utf-8", true),
        "css" => ("text/css; charset=utf-8", true),
        "json" => ("application/json", true),
        "webmanifest" => ("application/manifest+json", true),
        "svg" => ("image/svg+xml", true),
        "txt" => ("text/plain; charset=utf-8", true),
        "wasm" => ("application/wasm", true),
        "ico" => ("image/x-icon", true),
        "png" => ("image/png", false),
        "webp" => ("image/webp", false),
        "woff2" => ("font/woff2", false),
        _ => return None,
    })
}

fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn brotli(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    let params = brotli::enc::BrotliEncoderParams::default();
    brotli::BrotliCompress(&mut &bytes[..], &mut out, &params)?;
    Ok(out)
}
