"""Checks a static site: every link and anchor leads somewhere, and nothing is loaded from another
host. Links to other hosts are for people to follow; they are not checked.

python docs/crawl.py site
"""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

RELATIONS = {"author", "canonical", "index", "next", "prev", "search"}  # links that load nothing
IN_CSS = re.compile(r"""(?:url\(|@import)\s*["']?([^"')\s]+)""")
IN_SCRIPT = re.compile(r"""(?:from|import|fetch|URL|Worker)\b[\s(]*["'`]((?:https?:)?//[^"'`]+)""")


class Page(HTMLParser):
    """What a page contains: the names of its anchors, its links, and the addresses it loads."""

    def __init__(self, html: str):
        super().__init__()
        self.anchors, self.links, self.loads = {"", "top"}, [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        for name in ("href", "src", "action", "data", "poster"):
            if name in given:
                follows = tag in ("a", "form") or RELATIONS & set(given.get("rel", "").split())
                (self.links if follows else self.loads).append(given[name])
        self.loads += [each.split()[0] for each in given.get("srcset", "").split(",") if each]
        self.loads += IN_CSS.findall(given.get("style", ""))

    def handle_data(self, data):
        if self.cdata_elem in ("style", "script"):
            self.loads += (IN_CSS if self.cdata_elem == "style" else IN_SCRIPT).findall(data)


def faults(folder: Path) -> list[str]:
    """What is wrong with a site, one line for each fault."""
    folder = folder.resolve()
    pages = {path: Page(path.read_text("utf-8")) for path in sorted(folder.rglob("*.html"))}
    if folder / "index.html" not in pages:
        return [f"{folder}: has no index.html"]
    found = []
    for path, page in pages.items():
        for address in page.links + page.loads:
            if why := fault(pages, folder, path, address, address in page.links):
                found.append(f"{path.relative_to(folder)}: {address}: {why}")
    for ending, pattern in ((".css", IN_CSS), (".js", IN_SCRIPT)):
        for path in sorted(folder.rglob(f"*{ending}")):
            for address in pattern.findall(path.read_text("utf-8")):
                if why := fault(pages, folder, path, address, False):
                    found.append(f"{path.relative_to(folder)}: {address}: {why}")
    return list(dict.fromkeys(found))


def fault(
    pages: dict[Path, Page], folder: Path, path: Path, address: str, link: bool
) -> str | None:
    """What is wrong with an address in a file; None if nothing is."""
    parts = urlsplit(address)
    if parts.scheme in ("data", "blob", "mailto"):
        return None
    if parts.scheme or parts.netloc:
        return None if link else "is loaded from another host"
    if parts.path.startswith("/"):
        return "starts at the root of the host, where the site may not be"
    target = path.parent / unquote(parts.path) if parts.path else path
    target = target / "index.html" if target.is_dir() else target
    target = target.resolve()
    if not target.is_file() or folder not in target.parents:
        return "does not exist"
    page = pages.get(target)
    if page and unquote(parts.fragment) not in page.anchors:
        return "has no such anchor"
    return None


if __name__ == "__main__":
    wrong = faults(Path(sys.argv[1]))
    print("\n".join(wrong) or f"{sys.argv[1]}: every link leads somewhere")
    sys.exit(bool(wrong))
