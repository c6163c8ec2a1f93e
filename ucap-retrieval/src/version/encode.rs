//! Byte encodings that keep an order: numbers of any size and strings.
//!
//! Both are self-delimiting, so that a sequence of tagged fields compares like the sequence of their values.

/// Appends a run of ASCII digits so that bytes compare like the numbers; leading zeros do not matter.
///
/// Up to `u64::MAX`: the count of significant bytes (0 to 8), then those bytes, big-endian. Above: 9, the count of
/// digits as a big-endian `u64`, then the digits.
pub(super) fn push_number(out: &mut Vec<u8>, digits: &str) {
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        out.push(0);
    } else if let Ok(number) = digits.parse::<u64>() {
        let skipped = number.leading_zeros() / 8;
        out.push(8 - skipped as u8);
        out.extend_from_slice(&number.to_be_bytes()[skipped as usize..]);
    } else {
        out.push(9);
        out.extend_from_slice(&(digits.len() as u64).to_be_bytes());
        out.extend_from_slice(digits.as_bytes());
    }
}

/// Appends a string so that bytes compare like the strings: a NUL inside is written `00 ff`, the end `00 00`.
pub(super) fn push_str(out: &mut Vec<u8>, text: &str) {
    for &byte in text.as_bytes() {
        out.push(byte);
        if byte == 0 {
            out.push(0xff);
        }
    }
    out.extend_from_slice(&[0, 0]);
}

/// Whether a run of digits is the number 0.
pub(super) fn is_zero(digits: &str) -> bool {
    digits.bytes().all(|digit| digit == b'0')
}

/// Whether the text is one or more ASCII digits.
pub(super) fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Splits off the ASCII digits at the front, possibly none.
pub(super) fn split_digits(text: &str) -> (&str, &str) {
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    text.split_at(end)
}
