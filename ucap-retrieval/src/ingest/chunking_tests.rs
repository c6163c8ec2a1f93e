//! Tests of `chunking`.

use proptest::prelude::*;

use super::*;

/// What holds for the chunks of any text.
fn check(title: &str, body: &str, sections: &[Section], max_chunks: usize) -> Vec<Chunk> {
    let chunks = cut(title, body, sections, max_chunks);
    assert_eq!(chunks.is_empty(), title.trim().is_empty() && body.trim().is_empty());
    let mut at = 0;
    for chunk in &chunks {
        assert_eq!(chunk.range.start, at, "no gap, no overlap");
        at = chunk.range.end;
        let piece = body[chunk.range.clone()].trim();
        assert!(piece.len() <= MAX_CHUNK_BYTES, "{} bytes", piece.len());
        assert!(chunk.text.ends_with(piece) && !chunk.text.trim().is_empty());
        assert!(!piece.is_empty() || chunks.len() == 1);
    }
    assert!(chunks.is_empty() || at == body.len(), "all of the body");
    assert!(chunks.len() <= max_chunks + body.len() / (MAX_CHUNK_BYTES / 2) + 1, "{} chunks", chunks.len());
    chunks
}

#[test]
fn short_texts_are_one_chunk() {
    assert_eq!(check("", "", &[], 100), []);
    assert_eq!(check("", " \n ", &[], 100), []);
    assert_eq!(check("Title", "", &[], 100), [Chunk { range: 0..0, text: "Title".into() }]);
    assert_eq!(check("Title", "  Body. \n", &[], 100), [Chunk { range: 0..9, text: "Title\nBody.".into() }]);
    assert_eq!(check("", "Body.", &[], 100), [Chunk { range: 0..5, text: "Body.".into() }]);
    assert_eq!(check("Title", "Title\n\nBody.", &[], 100)[0].text, "Title\n\nBody.");
}

#[test]
fn long_texts_break_at_sentences_and_leave_no_tiny_rest() {
    let body: String = (0..3000).map(|i| format!("Paragraph {i} speaks of ordinary things. ")).collect();
    let body = body + "The capybara stole the private key.";
    let chunks = check("A long report", &body, &[], MAX_CHUNKS);
    assert!(chunks.len() > 80 && chunks.len() < 250, "{}", chunks.len());
    for chunk in &chunks {
        assert!(chunk.text.starts_with("A long report\nParagraph") && chunk.text.ends_with('.'), "{}", chunk.text);
        assert!(chunk.text.len() > 300 && chunk.text.len() < 2_000, "{}", chunk.text.len());
    }
    assert!(chunks.last().unwrap().text.contains("capybara"));
}

#[test]
fn paragraphs_come_before_sentences() {
    let paragraph = |n: usize| "One sentence of words. ".repeat(n).trim_end().to_owned();
    let body = format!("{}\n\n{}", paragraph(20), paragraph(20));
    let chunks = check("", &body, &[], MAX_CHUNKS);
    assert_eq!(chunks.len(), 2);
    assert_eq!(chunks[0].text, paragraph(20));
}

#[test]
fn headings_are_kept_as_context() {
    let first = "Some words about keys. ".repeat(60);
    let body = format!("SSH\n\nDisable root.\n\nKeys\n\n{first}");
    let sections = [
        Section { start: 0, above: String::new(), heading: "SSH".into() },
        Section { start: body.find("Keys").unwrap(), above: "SSH".into(), heading: "Keys".into() },
    ];
    let chunks = check("Guide", &body, &sections, MAX_CHUNKS);
    assert!(chunks.len() > 1);
    assert!(chunks[0].text.starts_with("Guide\nSSH\n\nDisable root."), "{}", chunks[0].text);
    assert!(chunks[1].text.starts_with("Guide\nSSH › Keys\nSome words"), "{}", chunks[1].text);
}

#[test]
fn bodies_without_breaks_are_cut_too() {
    for body in [
        "x".repeat(100_000),
        "漏洞".repeat(20_000),
        ";".repeat(50_000),
        format!("a{}b", " ".repeat(100_000)),
        "á".repeat(30_000),
    ] {
        check("", &body, &[], MAX_CHUNKS);
        check("", &body, &[], 8);
    }
    let chunks = check("", &format!("{}a", "\n".repeat(1_000_000)), &[], MAX_CHUNKS);
    assert_eq!((chunks.len(), chunks[0].text.as_str()), (1, "a"));
}

#[test]
fn other_languages_get_shorter_passages() {
    let count = |sentence: &str| check("", &sentence.repeat(200), &[], MAX_CHUNKS).len();
    let english = count("The flaw is due to a missing check of the input in the login module. ");
    let spanish = count("El fallo se debe a una validación que falta en el módulo de acceso... ");
    assert!(spanish * 10 > english * 13, "{spanish} {english}");
}

#[test]
fn the_number_of_chunks_is_bounded() {
    let body = ". ".repeat(200_000);
    assert!(check("", &body, &[], 100).len() <= 200);
}

#[test]
fn wrapped_lines_are_no_sentences() {
    let body = "One sentence is wrapped\nover two lines of text. ".repeat(60);
    for chunk in check("", &body, &[], MAX_CHUNKS) {
        assert!(chunk.text.starts_with("One sentence") && chunk.text.ends_with("of text."), "{}", chunk.text);
    }
}

proptest! {
    #[test]
    fn any_text_is_covered(title in "\\PC{0,80}", body in "([a-zñ]{1,12}[ .,\n]{0,3}|\\PC|[\u{4e00}-\u{4e20}]{1,9}|\n\n){0,900}", at in prop::collection::vec(any::<prop::sample::Index>(), 0..5), max in 4usize..200) {
        let mut starts: Vec<usize> = at.iter().map(|at| body.floor_char_boundary(at.index(body.len() + 1))).collect();
        starts.sort_unstable();
        starts.dedup();
        let sections: Vec<Section> =
            starts.into_iter().map(|start| Section { start, above: "Above".into(), heading: "Heading".into() }).collect();
        check(&title, &body, &sections, max);
        check("", &body, &[], max);
    }

    #[test]
    fn any_bytes_are_covered(body in any::<String>()) {
        check("", &body, &[], 100);
    }
}
