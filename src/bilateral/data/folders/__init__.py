"""Image files sorted into folders by label."""
