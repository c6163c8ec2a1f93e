//! Tests of `analysis`.

use proptest::prelude::*;

use super::*;

fn document(text: &str) -> Vec<String> {
    analyze_document(text, Language::English)
}

fn found(query: &str, text: &str, language: Language) -> bool {
    let terms = analyze_document(text, language);
    let groups = analyze_query(query, language);
    !groups.is_empty() && groups.iter().all(|group| group.forms.iter().any(|form| terms.contains(form)))
}

#[test]
fn folds_case_accents_and_both_unicode_forms() {
    for language in [Language::Spanish, Language::Auto] {
        for query in ["inyección", "INYECCIÓN", "inyeccion", "inyeccio\u{301}n", "inyecciones"] {
            assert!(found(query, "Una inyección de SQL en el formulario", language), "{query} {language:?}");
        }
        assert!(found("contrasena", "Robo de contraseñas por fuerza bruta", language));
        assert!(found("contraseñas", "la contrasena del administrador", language));
    }
    assert!(found("vulnerability", "many vulnerabilities were injected", Language::Auto));
    assert!(found("injection", "many vulnerabilities were injected", Language::English));
}

#[test]
fn keeps_identifiers_whole_beside_their_parts() {
    assert_eq!(document("(CVE-2021-44228)."), ["cve", "2021", "44228", "cve-2021-44228"]);
    assert_eq!(document("log4j-core,"), ["log4j", "core", "log4j-core"]);
    assert_eq!(document("T1059.001"), ["t1059", "001", "t1059.001"]);
    assert_eq!(document("10.0.0.1:"), ["10", "0", "0", "1", "10.0.0.1"]);
    let coordinates = document("org.apache.logging.log4j:log4j-core@2.14.1");
    for whole in ["org.apache.logging.log4j", "log4j-core", "2.14.1", "org.apache.logging.log4j:log4j-core@2.14.1"] {
        assert!(coordinates.iter().any(|term| term == whole), "{whole} in {coordinates:?}");
    }
    assert_eq!(document("... -- ::"), Vec::<String>::new());
    assert_eq!(document("a--b a.-b"), ["a", "b", "a", "b"]);
}

#[test]
fn bounds_terms_and_groups() {
    let hash = "ab1".repeat(42);
    assert_eq!(document(&hash), std::slice::from_ref(&hash));
    assert!(document(&"x1".repeat(65)).is_empty());
    assert_eq!(document(&"ab.".repeat(50)).len(), 50, "a long chain is indexed by its parts only");
    let many = (0..1_000).map(|n| format!("w{n}")).collect::<Vec<_>>().join(" ");
    assert_eq!(analyze_query(&many, Language::English).len(), MAX_QUERY_GROUPS);
}

#[test]
fn queries_drop_stop_words_and_repetitions() {
    let terms = |query: &str, language| {
        analyze_query(query, language).into_iter().map(|group| group.forms.join("|")).collect::<Vec<_>>()
    };
    assert_eq!(terms("the server is a server", Language::English), ["server"]);
    assert_eq!(terms("to be or", Language::English), ["to", "be", "or"]);
    assert_eq!(terms("¿qué es un desbordamiento?", Language::Spanish), ["desbord"]);
    assert_eq!(terms("running", Language::Auto), ["run|running"]);
    let counts: Vec<u32> =
        analyze_query("buffer overflow, overflows", Language::English).iter().map(|group| group.count).collect();
    assert_eq!(counts, [1, 2]);
    assert!(terms("", Language::Auto).is_empty() && terms("¿?", Language::Auto).is_empty());
}

#[test]
fn detects_the_language_of_short_and_long_texts() {
    use language::resolve;
    for spanish in [
        "Inyección SQL en el módulo de búsqueda",
        "Ejecucion remota de codigo en WordPress",
        "El atacante obtiene las credenciales del usuario mediante un enlace malicioso.",
        "contraseña",
    ] {
        assert_eq!(resolve(Language::Auto, spanish), Language::Spanish, "{spanish}");
    }
    for english in
        ["", "XSS", "Remote code execution in log4j", "Use of a broken algorithm allows attackers to read it"]
    {
        assert_eq!(resolve(Language::Auto, english), Language::English, "{english}");
    }
}

proptest! {
    #[test]
    fn any_text_yields_sound_terms(text in any::<String>(), query in "\\PC{0,40}") {
        for language in [Language::English, Language::Spanish, Language::Auto] {
            let terms = analyze_document(&text, language);
            prop_assert!(terms.iter().all(|term| !term.is_empty() && term.len() <= MAX_TERM_BYTES));
            prop_assert!(terms.iter().all(|term| !term.contains(char::is_whitespace)));
            for group in analyze_query(&query, language) {
                prop_assert!((1..=2).contains(&group.forms.len()));
            }
        }
    }

    #[test]
    fn a_text_is_found_by_its_own_words(text in "[a-zA-ZñáÉ0-9 .:/-]{1,60}") {
        for language in [Language::English, Language::Spanish, Language::Auto] {
            let groups = analyze_query(&text, language);
            let terms = analyze_document(&text, language);
            prop_assert!(groups.iter().all(|group| group.forms.iter().any(|form| terms.contains(form))));
        }
    }
}
