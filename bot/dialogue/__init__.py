"""The dialogue process: a Rasa 3.6 project, its turn channel, tracker store and launcher."""
