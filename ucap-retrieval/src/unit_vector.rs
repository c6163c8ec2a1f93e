//! Vectors from outside, made comparable: the cosine of two vectors is the dot product of their directions.

/// A squared length that is so near to 1 is one: what a model has normalised stays as it is, bit for bit.
const TOLERANCE: f64 = 1e-6;

/// The direction of `vector`: the vector at length 1. `None` when it has none, all its numbers being zero.
pub(crate) fn unit_vector(vector: &[f32]) -> Option<Vec<f32>> {
    // In f64 neither the smallest nor the largest f32 leaves the range when it is squared.
    let squared: f64 = vector.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    if squared == 0.0 {
        return None;
    }
    if (squared - 1.0).abs() <= TOLERANCE {
        return Some(vector.to_vec());
    }
    let length = squared.sqrt();
    #[expect(clippy::cast_possible_truncation, reason = "the nearest f32 is what is kept")]
    let at_unit = |&x: &f32| (f64::from(x) / length) as f32;
    Some(vector.iter().map(at_unit).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_direction_is_left() {
        assert_eq!(unit_vector(&[3.0, -4.0]), Some(vec![0.6, -0.8]));
        assert_eq!(unit_vector(&[0.0, -0.0, 0.0]), None);
        assert_eq!(unit_vector(&[]), None);
        assert_eq!(unit_vector(&[f32::from_bits(1), 0.0]), Some(vec![1.0, 0.0]));
        assert_eq!(unit_vector(&[1e9; 4]), Some(vec![0.5; 4]));
    }

    #[test]
    fn what_has_unit_length_keeps_its_bits() {
        let unit = [0.267_261_24_f32, 0.534_522_5, 0.801_783_74];
        assert_eq!(unit_vector(&unit), Some(unit.to_vec()));
        let again = unit_vector(&[1.0, 2.0, 3.0]).unwrap();
        assert_eq!(unit_vector(&again), Some(again.clone()));
    }
}
