"""The dashboard's frame: page settings, navigation and the sidebar that all pages share."""

import streamlit as st

from pages._frame import navigation
from pages._sidebar import sidebar
from pages._under_way import under_way
from sequoia_core.assets import asset

st.set_page_config(
    page_title="Sequoia Explorer",
    page_icon=str(asset("logo.png")),
    layout="wide",
    initial_sidebar_state=256,
)
st.logo(str(asset("logo.svg")), size="large")
st.html(asset("style.css"))

page = navigation()
sidebar()
under_way(page)
page.run()
