"""The engine and the planner behind Sequoia Explorer; knows no streamlit and no plotly."""
