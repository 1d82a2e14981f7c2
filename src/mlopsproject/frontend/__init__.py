"""The Streamlit frontend; it talks HTTP to the API and imports nothing of the serving side but its schemas."""
