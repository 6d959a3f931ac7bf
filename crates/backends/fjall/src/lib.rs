//! The fjall engine of Stead.
