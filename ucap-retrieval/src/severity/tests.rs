//! Tests of `severity`.

use super::*;

#[test]
fn the_specifications_own_examples() {
    use CvssVersion::*;
    for (vector, version, score) in [
        ("AV:N/AC:L/Au:N/C:N/I:N/A:C", V2, 7.8),
        ("AV:N/AC:L/Au:N/C:C/I:C/A:C", V2, 10.0),
        ("AV:L/AC:H/Au:N/C:C/I:C/A:C", V2, 6.2),
        ("AV:N/AC:L/Au:N/C:N/I:N/A:N", V2, 0.0),
        ("AV:N/AC:L/Au:N/C:N/I:N/A:C/E:F/RL:OF/RC:C/CDP:H/TD:H/CR:M/IR:M/AR:H", V2, 7.8),
        ("(AV:N/AC:L/Au:N/C:N/I:N/A:C)", V2, 7.8),
        ("CVSS:2.0/AV:N/AC:L/Au:N/C:N/I:N/A:C", V2, 7.8),
        ("CVSS:3.0/AV:N/AC:L/PR:L/UI:N/S:C/C:L/I:L/A:N", V3_0, 6.4),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", V3_1, 10.0),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", V3_1, 9.8),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/E:U/RL:O/RC:U/MAV:P", V3_1, 9.8),
        ("CVSS:3.1/AV:P/AC:H/PR:H/UI:R/S:U/C:N/I:N/A:N", V3_1, 0.0),
        ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:H/SC:N/SI:N/SA:N/E:U", V4_0, 6.6),
        (" CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/ ", V3_1, 9.8),
        ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H", V4_0, 10.0),
        ("CVSS:4.0/AV:L/AC:L/AT:P/PR:L/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", V4_0, 7.3),
        ("CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:N/SC:N/SI:N/SA:N", V4_0, 0.0),
        ("CVSS:4.0/AV:L/AC:L/AT:P/PR:L/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N/E:U/CR:L/MAV:P/S:N/U:Red", V4_0, 1.7),
    ] {
        assert_eq!(base_score(vector), Some((version, score)), "{vector}");
    }
}

#[test]
fn no_part_of_a_score_is_guessed() {
    for text in [
        "",
        "7.5",
        "HIGH",
        "CVSS:3.1",
        "CVSS:3.1/",
        "CVSS:5.0/AV:N",
        "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H",
        "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/A:H",
        "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:X",
        "CVSS:3.2/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
        "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H",
        "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H/E:Q",
        "AV:N/AC:L/Au:N/C:N/I:N",
        "AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
        "CVSS:2.0/",
    ] {
        assert_eq!(base_score(text), None, "{text}");
    }
}

#[test]
fn every_base_metric_is_needed() {
    for vector in [
        "AV:N/AC:L/Au:N/C:P/I:P/A:P",
        "CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
        "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
        "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:H/SI:H/SA:H",
    ] {
        let metrics: Vec<&str> = vector.split('/').collect();
        assert!(base_score(vector).is_some());
        for missing in (0..metrics.len()).filter(|&i| !metrics[i].starts_with("CVSS")) {
            let rest: Vec<&str> = metrics.iter().enumerate().filter(|(i, _)| *i != missing).map(|(_, m)| *m).collect();
            assert_eq!(base_score(&rest.join("/")), None, "{vector} without {}", metrics[missing]);
        }
    }
}

#[test]
fn words_and_numbers_agree() {
    for (word, score) in
        [("none", 0.0), ("Low", 0.1), ("MEDIUM", 4.0), ("moderate", 4.0), (" High ", 7.0), ("cRITICAL", 9.0)]
    {
        assert_eq!(word_score(word), Some(score));
    }
    for word in ["", "unknown", "important", "7.5"] {
        assert_eq!(word_score(word), None);
    }
    for (score, word) in [
        (0.0, "NONE"),
        (0.1, "LOW"),
        (3.9, "LOW"),
        (4.0, "MEDIUM"),
        (6.9, "MEDIUM"),
        (7.0, "HIGH"),
        (8.9, "HIGH"),
        (9.0, "CRITICAL"),
        (10.0, "CRITICAL"),
    ] {
        assert_eq!(label(score), word);
        assert_eq!(word_score(word).map(label), Some(word));
    }
}
