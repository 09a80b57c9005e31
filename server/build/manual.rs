//! Turns the pages of the manual, `docs/**/*.md`, into HTML.

use std::{fmt::Write, fs, io, path::Path};

use pulldown_cmark::{BrokenLink, CowStr, Event, Options, Parser, Tag, TagEnd, html};

/// Rust code of `MANUAL`: the path of each page below `/docs/`, and its HTML.
pub(crate) fn code(folder: &Path) -> io::Result<String> {
    let mut code = "static MANUAL: &[(&str, &str)] = &[\n".to_owned();
    for (path, markdown) in pages(folder, "")? {
        let _ = writeln!(code, "    ({path:?}, {:?}),", page(&path, &markdown));
    }
    Ok(code + "];\n")
}

/// Path and text of each page, including those in subfolders. `README.md` is the page of its folder.
fn pages(folder: &Path, prefix: &str) -> io::Result<Vec<(String, String)>> {
    let mut pages = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            pages.extend(self::pages(&path, &format!("{prefix}{name}/"))?);
        } else if let Some(name) = name.strip_suffix(".md") {
            let name = if name == "README" { "" } else { name };
            pages.push((format!("{prefix}{name}"), fs::read_to_string(&path)?));
        }
    }
    pages.sort();
    Ok(pages)
}

/// The HTML of a page. It needs no scripts.
fn page(path: &str, markdown: &str) -> String {
    let up = "../".repeat(path.matches('/').count());
    let (title, body) = body(markdown);
    let home = if path.is_empty() { String::new() } else { format!("<nav><a href=\"{up}./\">The manual</a></nav>\n") };
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title} – connection-counter</title>\n<link rel=\"stylesheet\" href=\"{up}style.css\">\n</head>\n\
         <body>\n{home}<main>\n{body}</main>\n</body>\n</html>\n"
    )
}

/// The page's first heading, and its HTML. Headings can be linked to as on GitHub.
fn body(markdown: &str) -> (String, String) {
    // Links to items of our Rust code work only in rustdoc, so only their text is kept.
    let nowhere = |_: BrokenLink| Some((CowStr::from(""), CowStr::from("")));
    let options = Options::ENABLE_TABLES | Options::ENABLE_GFM;
    let mut events = Vec::new();
    let mut title = None;
    let mut heading = String::new();
    let mut leads_nowhere = false;
    for event in Parser::new_with_broken_link_callback(markdown, options, Some(nowhere)) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading.clear(),
            Event::Start(Tag::Link { ref dest_url, .. }) if dest_url.is_empty() => {
                leads_nowhere = true;
                continue;
            }
            Event::End(TagEnd::Link) if leads_nowhere => {
                leads_nowhere = false;
                continue;
            }
            Event::Text(ref text) | Event::Code(ref text) => heading.push_str(text),
            Event::End(TagEnd::Heading(_)) => {
                let start = events.iter_mut().rev().find_map(|event| match event {
                    Event::Start(Tag::Heading { id, .. }) => Some(id),
                    _ => None,
                });
                start.expect("a heading that ends has begun").replace(anchor(&heading).into());
                title.get_or_insert_with(|| heading.clone());
            }
            _ => {}
        }
        events.push(match event {
            Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
                Event::Start(Tag::Link { link_type, dest_url: target(&dest_url).into(), title, id })
            }
            event => event,
        });
    }
    let mut body = String::new();
    html::push_html(&mut body, events.into_iter());
    (title.unwrap_or_default(), body)
}

/// The target of a link when all pages are served without their endings.
fn target(link: &str) -> String {
    if link.contains("://") {
        return link.to_owned();
    }
    let (path, fragment) = link.split_once('#').map_or((link, None), |(path, fragment)| (path, Some(fragment)));
    let path = match path.strip_suffix(".md") {
        Some(path) => path.strip_suffix("README").map_or(path.to_owned(), |folder| format!("./{folder}")),
        None => path.to_owned(),
    };
    path + &fragment.map(|fragment| format!("#{fragment}")).unwrap_or_default()
}

/// The id of a heading, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase();
    kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).map(|c| if c == ' ' { '-' } else { c }).collect()
}
