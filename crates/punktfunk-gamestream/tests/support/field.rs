//! Repair by the definition of the code: GF(2⁸) by long multiplication, Gaussian elimination. Slow, and knows nothing of
//! the host's code.

/// The field of 0x11D as tables that were filled by long multiplication.
pub struct Field {
    products: Vec<[u8; 256]>,
    inverses: [u8; 256],
}

impl Field {
    pub fn new() -> Self {
        let products: Vec<[u8; 256]> =
            (0..=u8::MAX).map(|a| std::array::from_fn(|b| long_product(a, b as u8))).collect();
        let one = |row: &[u8; 256]| row.iter().position(|product| *product == 1).unwrap_or_default() as u8;
        let inverses = std::array::from_fn(|a| one(&products[a]));
        Self { products, inverses }
    }

    /// Fills in the missing of `data` from what arrived of `parity`. Needs as many of both together as `data` has places.
    pub fn repair(&self, data: &mut [Option<Vec<u8>>], parity: &[Option<Vec<u8>>]) {
        let p = parity.len();
        let coefficient = |j: usize, i: usize| self.inverses[(p + i) ^ j];
        let missing: Vec<usize> = (0..data.len()).filter(|&i| data[i].is_none()).collect();
        // An equation for each missing shard: its unknowns' coefficients, and the parity less what is known.
        let mut equations: Vec<(Vec<u8>, Vec<u8>)> = (0..p)
            .filter_map(|j| Some((j, parity[j].clone()?)))
            .take(missing.len())
            .map(|(j, mut rest)| {
                for (i, shard) in data.iter().enumerate() {
                    if let Some(shard) = shard {
                        self.add_product(&mut rest, shard, coefficient(j, i));
                    }
                }
                (missing.iter().map(|&i| coefficient(j, i)).collect(), rest)
            })
            .collect();
        assert_eq!(equations.len(), missing.len(), "too little arrived");
        for column in 0..missing.len() {
            let pivot = (column..missing.len()).find(|&row| equations[row].0[column] != 0).unwrap();
            equations.swap(column, pivot);
            let scale = self.inverses[usize::from(equations[column].0[column])];
            let (unknowns, rest) = equations[column].clone();
            let scaled = |bytes: Vec<u8>| bytes.into_iter().map(|byte| self.product(byte, scale)).collect::<Vec<u8>>();
            let (unknowns, rest) = (scaled(unknowns), scaled(rest));
            for (row, equation) in equations.iter_mut().enumerate() {
                let factor = equation.0[column];
                if row != column && factor != 0 {
                    self.add_product(&mut equation.0, &unknowns, factor);
                    self.add_product(&mut equation.1, &rest, factor);
                }
            }
            equations[column] = (unknowns, rest);
        }
        for (&i, (_, shard)) in missing.iter().zip(equations) {
            data[i] = Some(shard);
        }
    }

    fn product(&self, a: u8, b: u8) -> u8 {
        self.products[usize::from(a)][usize::from(b)]
    }

    fn add_product(&self, sum: &mut [u8], bytes: &[u8], factor: u8) {
        for (sum, &byte) in sum.iter_mut().zip(bytes) {
            *sum ^= self.product(byte, factor);
        }
    }
}

fn long_product(mut a: u8, b: u8) -> u8 {
    let mut sum = 0;
    for bit in 0..8 {
        if b >> bit & 1 == 1 {
            sum ^= a;
        }
        a = a << 1 ^ if a & 0x80 != 0 { 0x1d } else { 0 };
    }
    sum
}
