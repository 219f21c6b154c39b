//! What is done with the frames that arrive: they are dumped, decoded, both, or only counted.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use punktfunk_media::decode::{Decoder, OpenDecoderError};

use crate::client::stream::ReceivedFrame;

/// What became of a frame at the consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consumed {
    /// It was taken.
    Taken,
    /// It was decoded, in this time.
    Decoded(Duration),
    /// It should have been decodable and was not: an IDR is needed.
    Broken,
}

/// Dumps and decodes frames.
pub struct Consumer {
    dump: Option<Box<dyn Write + Send>>,
    decoder: Option<Decoder>,
    tally: ConsumerTally,
}

/// What a consumer did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct ConsumerTally {
    /// Bytes dumped.
    pub dumped_bytes: u64,
    /// Pictures decoded.
    pub pictures: u64,
    /// Frames that the decoder refused.
    pub decode_errors: u64,
    /// Size of the newest decoded picture, pixels.
    pub picture_size: Option<(usize, usize)>,
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consumer").field("tally", &self.tally).finish_non_exhaustive()
    }
}

impl Consumer {
    /// A consumer that writes access units to `dump`, one after another (a plain `.h264` file), and decodes them if
    /// `decode` says so.
    ///
    /// # Errors
    /// When the decoder cannot be opened.
    pub fn new(dump: Option<Box<dyn Write + Send>>, decode: bool) -> Result<Self, OpenDecoderError> {
        Ok(Self { dump, decoder: decode.then(Decoder::new).transpose()?, tally: ConsumerTally::default() })
    }

    /// What it did so far.
    pub fn tally(&self) -> ConsumerTally {
        self.tally
    }

    /// Takes a frame. Frames that cannot be decoded are neither dumped nor decoded: the dump plays cleanly, with a jump
    /// where frames were lost.
    ///
    /// # Errors
    /// When the dump cannot be written.
    pub fn take(&mut self, received: &ReceivedFrame) -> io::Result<Consumed> {
        if !received.decodable {
            return Ok(Consumed::Taken);
        }
        let data = &received.frame.data;
        if let Some(dump) = &mut self.dump {
            dump.write_all(data)?;
            self.tally.dumped_bytes += data.len() as u64;
        }
        let Some(decoder) = &mut self.decoder else { return Ok(Consumed::Taken) };
        let from = Instant::now();
        match decoder.decode(data) {
            Ok(Some(picture)) => {
                let took = from.elapsed();
                self.tally.pictures += 1;
                self.tally.picture_size = Some((picture.width(), picture.height()));
                Ok(Consumed::Decoded(took))
            }
            Ok(None) => Ok(Consumed::Taken),
            Err(error) => {
                tracing::debug!(%error, frame = received.frame.header.number, "a frame could not be decoded");
                self.tally.decode_errors += 1;
                Ok(Consumed::Broken)
            }
        }
    }

    /// Writes out what is buffered.
    ///
    /// # Errors
    /// When the dump cannot be written.
    pub fn finish(&mut self) -> io::Result<()> {
        self.dump.as_mut().map_or(Ok(()), Write::flush)
    }
}
