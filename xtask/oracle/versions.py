#!/usr/bin/env python3
"""Facts about version orders, made by the reference libraries: ucap-retrieval/src/version/testdata/{pypi,npm,maven}.tsv.

    pip install packaging==26.3        # and on the path: node, npm, java (JDK), mvn, zstd
    python3 xtask/oracle/versions.py [--data ../shared/data/advisories]

pypi.tsv by packaging, npm.tsv by npm's semver (the SemVer family: npm, crates.io, Go, Bitnami), maven.tsv by maven-artifact's ComparableVersion.
Lines: `a TAB op TAB b` with op one of < = >; `a TAB ! TAB` for a text that the library rejects. The versions are real ones (--data) and
random ones of the documented grammars, paired mostly with near relatives, where orders go wrong. Same seed, same libraries, same data: same files.
"""
import argparse, json, pathlib, random, subprocess, tempfile

from packaging.version import InvalidVersion, Version

HERE = pathlib.Path(__file__).resolve()
SEMVER, MAVEN = "7.8.6", "3.9.9"  # npm semver, org.apache.maven:maven-artifact
PAIRS, LIMIT = 3600, 150_000  # per table: pairs at most, bytes at most
rng = random.Random(20261124)


def real_versions(data, names):
    """The distinct versions and boundaries of these files, in a fixed order."""
    found = set()
    for name in names:
        path = data / f"{name}.jsonl.zst"
        text = subprocess.run(["zstd", "-dc", path], capture_output=True, text=True, check=True).stdout
        for affected in (a for line in text.splitlines() for a in json.loads(line).get("affected") or []):
            found.update(affected.get("versions") or [])
            for r in affected.get("ranges") or []:
                if r.get("type") != "GIT":
                    found.update(v for event in r["events"] for v in event.values())
    return sorted(v for v in found if v.isprintable() and len(v) < 80)


def number():
    return rng.choice(["0", "1", "2", "3", "9", "10", "11", "99", "100", "255", "256", "65535", "65536", "20200101010101",
                       "18446744073709551615", "18446744073709551616", "99999999999999999999999", "100000000000000000000000"]
                      if rng.random() < 0.3 else ["0", "1", "2", "3", "10", "21"])


def dotted(least, most):
    return ".".join(number() for _ in range(rng.randint(least, most)))


def pypi_random():
    sep = lambda: rng.choice(["", "", ".", "-", "_"])
    some = lambda p: rng.random() < p
    v = ("v" if some(0.1) else "") + (rng.choice(["0!", "1!", "2!"]) if some(0.12) else "") + dotted(1, 5)
    if some(0.45):
        v += sep() + rng.choice(["a", "b", "c", "rc", "alpha", "beta", "pre", "preview", "RC", "Alpha"])
        v += (sep() + rng.choice(["0", "1", "01", "2", "10", "9"])) if some(0.8) else ""
    if some(0.3):
        v += rng.choice(["-1", "-0", "-10"]) if some(0.3) else sep() + rng.choice(["post", "rev", "r", "POST"]) + (sep() + rng.choice(["0", "1", "2", "10"]) if some(0.8) else "")
    if some(0.3):
        v += sep() + rng.choice(["dev", "DEV"]) + (sep() + rng.choice(["0", "1", "2", "10"]) if some(0.8) else "")
    if some(0.25):
        v += "+" + rng.choice(".-_").join(rng.choice(["local", "ubuntu", "1", "01", "10", "2", "abc", "1a", "a1", "UBUNTU"]) for _ in range(rng.randint(1, 3)))
    return f" {v}\u2003" if some(0.01) else v


PYPI_SUFFIXES = [".0", ".0.0", ".1", "a0", "a1", "b2", "rc1", "rc", ".dev0", ".dev2", ".post0", ".post1", "-1", "+local.7", "+1", ".0+1", "a1.dev2", "a1.post1",
                 "a1.post1.dev3", ".post1.dev0", "-", ".", "x", "_1", "c", "!1", "+", "..1", "a..1", "a.-dev1", "-final", "p1", "+a..b", "rc1-git"]


def npm_random():
    identifier = lambda: rng.choice([number(), "alpha", "beta", "rc", "Alpha", "x", "-", "--", "a-b", "1a", "0a", "a", "ab", "Z", "x-1", "20210305023314-538ac3df036e"])
    v = ("v" if rng.random() < 0.1 else "") + ".".join(rng.choice(["0", "1", "2", "9", "10", "11", "2021", "9007199254740991"]) for _ in range(3))
    if rng.random() < 0.6:
        v += "-" + ".".join(identifier() for _ in range(rng.randint(1, 4)))
    if rng.random() < 0.2:
        v += "+" + rng.choice(["build.9", "001", "incompatible", "a-b.c"])
    return v


NPM_SUFFIXES = ["-0", "-1", "-alpha", "-alpha.1", "-alpha.1-x", "-alpha.0", "-rc.2", "-rc.10", "-1.x", "-", ".0", ".1", "+build", "-0.20210101000000-abcdef012345", "-x.7.z.92",
                "0", "-A", "-a", "--"]

MAVEN_REAL = """1 1.0 1.0.0 1.1 1.10 1.2 1.2-SNAPSHOT 1.2-b01 1.0-1 1-1 1-sp-1 1.0.0-alpha-2 1.0.0-beta.2 1.0.0-beta.11 1.0a1 1.0b2 1.0m3 1.0-m3 2.0-M1 2.0-milestone-2 2.0-rc1 2.0-RC2 2.0-cr1
2.0-alpha-1 2.0-alpha1 2.0-beta9 2.0-beta10 2.0-final 2.0-ga 2.0-sp1 2.0-sp2 2.0.RELEASE 2.0-jre 2.0-android 2.0.1 2.13.4 2.13.4.1 2.14.1 2.15.0 2.15.0-rc1 2.9.10.8 2.3.1.2
3.0.0-M4 4.1.77.Final 4.1.9.Final 5.2.20.RELEASE 5.2.21.RELEASE 6.0.0-M3 9.0.0.M10 9.0.0.M1 9.0.0-M2 9.4.35.v20201120 9.4.36.v20210114 10.0.0 10.1.0-M17 12.0.0.alpha0 12.0.0.beta3 31.0-jre 31.1-android r03 r09
20030203.000129 20090211 2021.1 1.0-20200101.010101-1 42.2.5.jre7 42.2.5 7.4.1.jre8-preview 1.70 1.8.0 1.8-1 2.0.0.Alpha1 2.0.0.Beta2 2.0.0.CR1 2.0.0.Final 3.4.0.GA 3.3.2.GA 1.4.200 2.11.0-RC1 0.9.5.5 1.9.0.Beta1 2.2.0.SP1
1.0.0.redhat-1 1.1.1.redhat-5 2.0.0-incubating 0.8.1-incubating 1.0-alpha-21 1.0-beta-9 2.0.0-M22 3.1.0-preview1 1.5.0-jdk15on""".split()


def maven_random():
    some = lambda p: rng.random() < p
    v = dotted(1, 4)
    for _ in range(rng.choice([0, 1, 1, 1, 2, 2, 3])):
        word = rng.choice(["alpha", "beta", "milestone", "rc", "cr", "snapshot", "SNAPSHOT", "sp", "ga", "final", "Final", "RELEASE", "a", "b", "m", "x", "foo", "jre", "android", "RC", "Beta"])
        v += rng.choice(["-", "-", ".", ""]) + (word + (rng.choice(["", "-", "."]) + number() if some(0.6) else "") if some(0.75) else number())
    return v + rng.choice(["", "", "", "", ".0", "-0", "-", ".", "-1", ".1", "..1"])


MAVEN_SUFFIXES = [".0", ".1", ".0.1", "-1", "-0", "-1-1", "-1.1", "-SNAPSHOT", "-rc1", "-alpha-2", "-sp-1", "-sp", ".Final", "-ga", ".RELEASE", "-x", "a1", "-a1", "-a", ".a1", ".foo", "-foo-1", "-m2", "-beta.2", "0"]


def pairs(pool, suffixes, make):
    """Distinct pairs: a version and itself changed, two relatives, two neighbours of the sorted pool, two of any."""
    out = {}
    ordered = sorted(pool)
    while len(out) < PAIRS:
        base = rng.choice(pool) if rng.random() < 0.5 else make()
        kind = rng.random()
        if kind < 0.35:
            pair = base, base + rng.choice(suffixes)
        elif kind < 0.65:
            pair = base + rng.choice(suffixes), base + rng.choice(suffixes)
        elif kind < 0.8:
            i = rng.randrange(len(ordered) - 1)
            pair = ordered[i], ordered[i + 1]
        else:
            pair = base, make()
        out[pair if rng.random() < 0.5 else pair[::-1]] = None
    return list(out)


def pypi_op(a, b):
    a, b = Version(a), Version(b)
    return "<" if a < b else ">" if a > b else "="


def ask(command, rows, cwd):
    text = "".join("\t".join(row) + "\n" for row in rows)
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True, cwd=cwd).stdout.splitlines()


NPM_PROGRAM = """const s = require('semver');
for (const l of require('fs').readFileSync(0, 'utf8').split('\\n')) { if (!l) continue; const [a, b] = l.split('\\t');
console.log(!s.valid(a) || !s.valid(b) ? '?' : ['<', '=', '>'][s.compare(a, b) + 1]); }"""
MAVEN_PROGRAM = """import org.apache.maven.artifact.versioning.ComparableVersion;
public class Compare { public static void main(String[] args) throws Exception {
  var in = new java.io.BufferedReader(new java.io.InputStreamReader(System.in, "UTF-8")); String line;
  while ((line = in.readLine()) != null) { String[] p = line.split("\\t", -1);
    int c = new ComparableVersion(p[0]).compareTo(new ComparableVersion(p[1])); System.out.println(c < 0 ? "<" : c > 0 ? ">" : "="); } } }"""


def write(name, rows, header):
    path = HERE.parents[2] / "ucap-retrieval/src/version/testdata" / f"{name}.tsv"
    text = f"# {header}; made by xtask/oracle/versions.py, do not edit\n"
    for row in rows:
        line = "\t".join(row) + "\n"
        if len((text + line).encode()) > LIMIT:
            break
        text += line
    path.write_text(text)
    print(f"{path}: {text.count(chr(10)) - 1} facts, {len(text.encode())} bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, default=HERE.parents[3] / "shared/data/advisories")
    data = parser.parse_args().data
    import packaging

    pool = real_versions(data, ["pypa"])
    found, rejected = [], {}
    for a, b in pairs(rng.sample(pool, 3000), PYPI_SUFFIXES, pypi_random):
        invalid = []
        for v in (a, b):
            try:
                Version(v)
            except InvalidVersion:
                invalid.append(v)
        for v in invalid:
            rejected[v] = None
        if not invalid:
            found.append((a, pypi_op(a, b), b))
    for v in pool:
        try:
            Version(v)
        except InvalidVersion:
            rejected[v] = None
    write("pypi", [(v, "!", "") for v in list(rejected)[:700]] + found, f"packaging {packaging.__version__}")

    with tempfile.TemporaryDirectory() as work:
        subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", f"semver@{SEMVER}"], cwd=work, check=True)
        pool = real_versions(data, ["node_npm", "retirejs", "rustsec", "golang", "bitnami"])
        asked = pairs(pool, NPM_SUFFIXES, npm_random)
        answers = ask(["node", "-e", NPM_PROGRAM], asked, work)
        write("npm", [(a, op, b) for (a, b), op in zip(asked, answers, strict=True) if op != "?"], f"npm semver {SEMVER}")

        subprocess.run(["mvn", "-q", "dependency:copy", f"-Dartifact=org.apache.maven:maven-artifact:{MAVEN}", f"-DoutputDirectory={work}"], cwd=work, check=True)
        pathlib.Path(work, "Compare.java").write_text(MAVEN_PROGRAM)
        jar = f"maven-artifact-{MAVEN}.jar"
        subprocess.run(["javac", "-cp", jar, "Compare.java"], cwd=work, check=True)
        asked = pairs(MAVEN_REAL, MAVEN_SUFFIXES, maven_random)
        answers = ask(["java", "-cp", f"{jar}:.", "Compare"], asked, work)
        write("maven", [(a, op, b) for (a, b), op in zip(asked, answers, strict=True)], f"maven-artifact {MAVEN}")


if __name__ == "__main__":
    main()
