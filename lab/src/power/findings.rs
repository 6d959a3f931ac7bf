//! Keeping what is needed to look at an image that was not as it must be.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;

use super::campaign::Finding;

/// The recording, as `--recording` reads it.
const RECORDING: &str = "recording";

impl Finding {
    /// Writes the recording and the image to a directory that stays, and gives the words that check the image once more.
    pub(crate) fn keep(&self, engine: &str, seed: u64) -> Result<String> {
        let kept: PathBuf = tempfile::Builder::new()
            .prefix("stead-lab-power-kept-")
            .tempdir()?
            .keep();
        let recording = kept.join(RECORDING);
        fs::write(&recording, self.recording.to_text())?;
        let image = kept.join("image");
        fs::create_dir(&image)?;
        self.tree.write_to(&image)?;
        Ok(format!(
            "image {} ({}, after {} of {} operations, {} of {} writes) is kept in {}\n  again: stead-lab power --engine \
             {engine} --seed {seed} --image {} --recording {}",
            self.image,
            self.variant,
            self.position,
            self.recording.log.ops.len(),
            self.recording.work.load,
            self.recording.work.count,
            image.display(),
            self.image,
            recording.display(),
        ))
    }
}
