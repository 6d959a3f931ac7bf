//! The value envelope of Stead: codecs, compression, checksums.
