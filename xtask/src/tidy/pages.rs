//! The links of the pages that people read, and the list of those in the book.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::files::below;
use crate::run::root;

/// A link to a file of this repository leads somewhere.
pub(crate) fn links() -> Result<Vec<String>> {
    let root = root();
    let mut findings = Vec::new();
    for page in pages(&root)? {
        let text = read(&page)?;
        for target in targets(&text) {
            let file = page.parent().unwrap_or(&root).join(target);
            if !file.exists() {
                findings.push(format!("{}: nothing is at {target}", shown(&page, &root)));
            }
        }
    }
    Ok(findings)
}

/// Every page of the book is in its summary.
pub(crate) fn summary() -> Result<Vec<String>> {
    let root = root();
    let book = root.join("docs/src");
    let summary = read(&book.join("SUMMARY.md"))?;
    let listed: Vec<PathBuf> = targets(&summary).map(|target| book.join(target)).collect();
    let missing = below(&book, "md")?
        .into_iter()
        .filter(|page| !page.ends_with("SUMMARY.md") && !listed.contains(page));
    Ok(missing
        .map(|page| format!("{}: is not in SUMMARY.md", shown(&page, &root)))
        .collect())
}

/// Those at the root and those of the book.
fn pages(root: &Path) -> Result<Vec<PathBuf>> {
    let mut pages = below(&root.join("docs"), "md")?;
    for entry in fs::read_dir(root)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(path);
        }
    }
    pages.sort();
    Ok(pages)
}

/// What the links in `text` name: files only, without the place in them. What stands in code is no link.
fn targets(text: &str) -> impl Iterator<Item = &str> {
    let mut in_code = false;
    let lines = text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !in_code && !fence
    });
    lines
        .flat_map(|line| line.split("](").skip(1))
        .filter_map(|rest| rest.split(')').next())
        .filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
        .filter_map(|target| target.split('#').next())
        .filter(|file| !file.is_empty())
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn shown(path: &Path, root: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::targets;

    #[test]
    fn links_to_files_are_found_and_no_others() {
        let text = "See [a](one.md), ![b](two/three.svg) and [c](four.md#part).\n\
                    [d](https://example.org/x.md) [e](#here)\n\
                    ```\n[f](five.md)\n```\n[g](six.md)";
        let found: Vec<&str> = targets(text).collect();
        assert_eq!(found, ["one.md", "two/three.svg", "four.md", "six.md"]);
    }
}
