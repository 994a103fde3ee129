"""A visitor of the dashboard in a headless Chromium."""

import re
from urllib.parse import urlencode

LOADED = re.compile(r"context [\d,]+ tokens")
# Importing torch beside a browser takes a minute where the cores are shared.
LOAD_MILLISECONDS = 240_000
# For a link to a page Streamlit looks for its own addresses below the page's first, in vain.
PROBES = re.compile(r"/\w+/_stcore/(health|host-config)$")


class Visitor:
    """One browser session that notes what must never happen."""

    def __init__(self, browser, url: str, **options):
        self.url = url
        self.wrong: list[str] = []
        self.page = browser.new_page(viewport={"width": 1440, "height": 900}, **options)
        self.page.set_default_timeout(60_000)
        self.page.on("console", self._note_console)
        self.page.on("pageerror", lambda error: self.wrong.append(f"page error: {error}"))
        self.page.on("request", self._note_request)

    def _note_console(self, message) -> None:
        if message.type == "error" and not PROBES.search(message.location["url"]):
            self.wrong.append(f"console: {message.text}")

    def _note_request(self, request) -> None:
        if not request.url.startswith((self.url, "data:", "blob:", self.url.replace("http", "ws"))):
            self.wrong.append(f"left the machine: {request.url}")

    def open(self, page: str = "", *, wait: str = ".tree-svg .node", **link) -> "Visitor":
        """Go to a page with these parameters; `wait` selects what must be there in the end."""
        self.page.goto(f"{self.url}/{page}?{urlencode(link, doseq=True)}")
        self.page.locator(wait).first.wait_for()
        return self

    def generate(self) -> "Visitor":
        self.page.get_by_text(LOADED).wait_for(timeout=LOAD_MILLISECONDS)
        self.button("generate").click()
        self.page.get_by_text("Where the time went").wait_for(timeout=240_000)
        return self

    def button(self, key: str):
        return self.page.locator(f".st-key-{key} button").first

    def slider(self, key: str):
        return self.page.locator(f".st-key-{key} input[type=range]").first

    def nodes(self, status: str):
        return self.page.locator(f".tree-svg [data-status={status}]")

    def tree(self, attribute: str) -> str:
        return self.page.locator(".tree-svg").get_attribute(f"data-{attribute}")

    def metric_value(self, label: str):
        shown = self.page.get_by_test_id("stMetric").filter(has_text=label)
        return shown.get_by_test_id("stMetricValue")

    def metric(self, label: str) -> str:
        return self.metric_value(label).inner_text().strip()

    def step_words(self, number: int) -> str:
        """The caption of a step, once the page has come to it."""
        words = self.page.get_by_text(re.compile(rf"Step {number} of \d+:"))
        words.wait_for()
        return words.inner_text()

    def check(self) -> None:
        assert self.page.get_by_test_id("stException").count() == 0
        assert self.wrong == []
