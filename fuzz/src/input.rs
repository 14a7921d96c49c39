//! Draws decisions from the bytes of one execution. Past the end, all bytes are zero, so every input is valid, and a
//! shorter one decides less.

pub(crate) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    /// Draws a number below `end`, which is at most 256.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end
    }

    pub(crate) fn yes(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        // Zero is the common case, so a shorter input is a simpler one.
        self.below(n) == n - 1
    }

    pub(crate) fn one_of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())]
    }

    /// Draws a number of any size, large or small with equal probability. Includes both ends of the 32-, 63- and 64-bit
    /// ranges.
    pub(crate) fn number(&mut self) -> u64 {
        const ENDS: [u64; 8] = [
            0,
            1,
            u32::MAX as u64,
            i32::MAX as u64,
            (1 << 53) + 1,
            i64::MAX as u64,
            i64::MAX as u64 + 1,
            u64::MAX,
        ];
        match self.byte() {
            tag @ 0..8 => ENDS[usize::from(tag)],
            tag => {
                let bytes = 1 + usize::from(tag) % 8;
                (0..bytes).fold(0, |number, _| number << 8 | u64::from(self.byte()))
            }
        }
    }

    /// Draws a text that is mostly short, and rarely longer than every field's limit.
    pub(crate) fn text(&mut self) -> String {
        const LONG: [usize; 8] = [64, 65, 128, 129, 256, 257, 300, 5_000];
        match self.byte() {
            tag @ 0..8 => ["x", "é"][usize::from(self.yes())].repeat(LONG[usize::from(tag)]),
            tag => {
                let (text, rest) = self.0.split_at(self.0.len().min(usize::from(tag) % 24));
                self.0 = rest;
                String::from_utf8_lossy(text).into_owned()
            }
        }
    }

    pub(crate) fn maybe<T>(&mut self, value: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.yes().then(|| value(self))
    }

    pub(crate) fn rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.0)
    }
}
