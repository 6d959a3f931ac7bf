//! Directories and files, as an image or as what was there at the beginning.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::content::Content;
use super::log::{Node, Place, ROOT};

/// What is in a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tree {
    pub(crate) files: BTreeMap<OsString, Content>,
    pub(crate) directories: BTreeMap<OsString, Tree>,
}

impl Tree {
    /// Goes through everything, with the nodes that a recording gives to what was there at its beginning: in the order
    /// of this walk, from 1 on. A directory comes without content, before what is in it.
    pub(crate) fn each(&self, visit: &mut dyn FnMut(Place, Node, Option<&Content>)) {
        self.each_below(ROOT, &mut 0, visit);
    }

    fn each_below(
        &self,
        directory: Node,
        last: &mut u32,
        visit: &mut dyn FnMut(Place, Node, Option<&Content>),
    ) {
        let place = |name: &OsString| Place {
            directory,
            name: name.clone(),
        };
        for (name, content) in &self.files {
            *last += 1;
            visit(place(name), Node(*last), Some(content));
        }
        for (name, below) in &self.directories {
            *last += 1;
            let node = Node(*last);
            visit(place(name), node, None);
            below.each_below(node, last, visit);
        }
    }

    /// Makes the directories and files below `path`, which is there and empty. Holes stay holes.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub(crate) fn write_to(&self, path: &Path) -> io::Result<()> {
        for (name, content) in &self.files {
            let file = File::create_new(path.join(name))?;
            file.set_len(content.len())?;
            for (offset, piece) in content.pieces() {
                if piece.iter().any(|byte| *byte != 0) {
                    file.write_all_at(piece, offset)?;
                }
            }
        }
        for (name, below) in &self.directories {
            let path = path.join(name);
            fs::create_dir(&path)?;
            below.write_to(&path)?;
        }
        Ok(())
    }
}
